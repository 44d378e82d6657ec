// Latchkey's command line as an operator has it: a real process with settings of its own, whose output and end are seen.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { freePort } from '../harness.ts'

export const entry = join(import.meta.dirname, '..', '..', 'src', 'cli', 'entry.ts')

/** A command that runs. */
export interface Run {
  readonly child: ChildProcess
  readonly output: () => string
  /** What it said to people, without its log. */
  readonly said: () => string
  /** Resolves with the exit code. */
  readonly ended: Promise<number | null>
}

/** Starts it; only these settings reach it. */
export function runCommand(
  words: readonly string[],
  settings: Readonly<Record<string, string>>,
): Run {
  const { PATH = '', HOME = '' } = process.env
  const child = spawn(process.execPath, [entry, ...words], {
    env: { PATH, HOME, ...settings },
    cwd: tmpdir(),
  })
  const heard = { all: '', said: '' }
  child.stdout.on('data', (chunk: Buffer) => {
    heard.all += chunk.toString()
    heard.said += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    heard.all += chunk.toString()
  })
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve))
  return { child, output: () => heard.all, said: () => heard.said, ended }
}

/** A data folder and a port of its own. */
export async function place(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-start-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const port = await freePort()
  return {
    origin: `http://localhost:${port}`,
    settings: { LATCHKEY_DATA: join(folder, 'data'), LATCHKEY_LISTEN: `127.0.0.1:${port}` },
  }
}

/** Waits until it serves and has said so; it is stopped with the test. */
export async function untilReady(
  t: TestContext,
  started: Run,
  origin: string,
  word = 'Latchkey is ready',
): Promise<void> {
  t.after(async () => {
    started.child.kill('SIGTERM')
    await started.ended
  })
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (started.child.exitCode !== null) assert.fail(started.output())
    const answer = await fetch(`${origin}/readyz`).catch(() => undefined)
    // The port opens before the start has said so; only then is it through.
    if (answer?.ok === true && started.output().includes(word)) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  assert.fail(`not ready: ${started.output()}`)
}
