// Starting and stopping as an operator sees it: real processes, plain words, and nothing moved by a start that fails.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { commandDatabases } from '../command-databases.ts'
import { freePort, operator } from '../harness.ts'

const entry = join(import.meta.dirname, '..', '..', 'src', 'cli', 'entry.ts')

interface Run {
  readonly child: ChildProcess
  readonly output: () => string
  /** Resolves with the exit code, or rejects when it takes too long. */
  readonly ended: Promise<number | null>
}

function run(settings: Readonly<Record<string, string>>): Run {
  const { PATH = '', HOME = '' } = process.env
  const child = spawn(process.execPath, [entry, 'start'], {
    env: { PATH, HOME, ...settings },
    cwd: tmpdir(),
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve))
  return { child, output: () => output, ended }
}

async function place(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-start-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const port = await freePort()
  return {
    origin: `http://localhost:${port}`,
    settings: { LATCHKEY_DATA: join(folder, 'data'), LATCHKEY_LISTEN: `127.0.0.1:${port}` },
  }
}

async function untilReady(t: TestContext, started: Run, origin: string): Promise<void> {
  t.after(async () => {
    started.child.kill('SIGTERM')
    await started.ended
  })
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (started.child.exitCode !== null) assert.fail(started.output())
    const answer = await fetch(`${origin}/readyz`).catch(() => undefined)
    // The port opens before the start has said so; only then is it through.
    if (answer?.ok === true && started.output().includes('Latchkey is ready')) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  assert.fail(`not ready: ${started.output()}`)
}

test('a start says where everything is, and a stop is clean', async (t) => {
  const { origin, settings } = await place(t)
  const started = run(settings)
  await untilReady(t, started, origin)
  assert.match(started.output(), new RegExp(`Latchkey is ready at ${origin}`))
  assert.match(started.output(), /\/setup\?link=[\w-]{43}/)
  started.child.kill('SIGTERM')
  assert.equal(await started.ended, 0)
  assert.match(started.output(), /Stopping/)
})

for (const [database, settle] of Object.entries(commandDatabases)) {
  test(`a second start on a taken port ends in words and moves nothing (${database})`, async (t) => {
    const { origin, settings } = await place(t)
    const where = await settle(t)
    if (where === undefined) return t.skip('a second process needs a Postgres server')
    const all = { ...settings, ...where }
    await untilReady(t, run(all), origin)

    const second = run({ ...all, LATCHKEY_PUBLIC_URL: 'http://localhost:1' })
    assert.equal(await second.ended, 1)
    assert.match(second.output(), /Port \d+ on 127\.0\.0\.1 is taken/)
    const answer = await fetch(`${origin}/readyz`)
    assert.equal(answer.status, 200, 'the first one still serves its address')
  })
}

test('a wrong or lost key file is refused, and no second key is made', async (t) => {
  const { origin, settings } = await place(t)
  const first = run(settings)
  await untilReady(t, first, origin)
  first.child.kill('SIGTERM')
  await first.ended

  const elsewhere = join(settings.LATCHKEY_DATA, 'other.key')
  const lost = run({ ...settings, LATCHKEY_KEY_FILE: elsewhere })
  assert.equal(await lost.ended, 1)
  assert.match(lost.output(), /There is no key file at .*other\.key/)
  assert.equal(existsSync(elsewhere), false)

  writeFileSync(elsewhere, Buffer.alloc(32, 9).toString('base64url'))
  const wrong = run({ ...settings, LATCHKEY_KEY_FILE: elsewhere })
  assert.equal(await wrong.ended, 1)
  assert.match(wrong.output(), /is not the one this database was made with/)
})

const refusals: readonly (readonly [string, Readonly<Record<string, string>>, RegExp])[] = [
  [
    'a password that is too short',
    { LATCHKEY_OPERATOR_EMAIL: operator.email, LATCHKEY_OPERATOR_PASSWORD: 'short' },
    /LATCHKEY_OPERATOR_PASSWORD: Use at least 12/,
  ],
  [
    'an e-mail that is none',
    { LATCHKEY_OPERATOR_EMAIL: 'ab', LATCHKEY_OPERATOR_PASSWORD: operator.password },
    /LATCHKEY_OPERATOR_EMAIL: Enter an e-mail/,
  ],
  ['a key that is none', { LATCHKEY_KEY: 'short' }, /LATCHKEY_KEY: a master key must be 32 bytes/],
  [
    'a database that nobody answers for',
    { LATCHKEY_DATABASE_URL: 'postgres://nobody:pa55word@127.0.0.1:1/x' },
    /LATCHKEY_DATABASE_URL: (?!.*pa55word)/,
  ],
  ['a data folder that is a file', { LATCHKEY_DATA: entry }, /LATCHKEY_DATA \(.*entry\.ts\)/],
  [
    'a network that is none',
    { LATCHKEY_ALLOW_PRIVATE_NETWORKS: 'localhost' },
    /LATCHKEY_ALLOW_PRIVATE_NETWORKS/,
  ],
]

for (const [what, more, words] of refusals) {
  test(`the start refuses ${what} and names the setting`, async (t) => {
    const { settings } = await place(t)
    const started = run({ ...settings, ...more })
    assert.equal(await started.ended, 1)
    assert.match(started.output(), words)
    assert.doesNotMatch(started.output(), /\n\s+at /, 'no stack trace')
  })
}
