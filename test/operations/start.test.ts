// Starting and stopping as an operator sees it: real processes, plain words, and nothing moved by a start that fails.
import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { commandDatabases } from '../command-databases.ts'
import { operator } from '../harness.ts'
import { entry, place, runCommand, untilReady } from './command.ts'

const run = (settings: Readonly<Record<string, string>>) => runCommand(['start'], settings)

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
