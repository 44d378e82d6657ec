// The command line as an operator runs it: real processes over a data folder of their own.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { freePort, operator } from '../harness.ts'

const entry = join(import.meta.dirname, '..', '..', 'src', 'cli', 'entry.ts')
const startLimitMs = 20_000

export interface CommandResult {
  readonly code: number | null
  readonly out: string
  readonly error: string
}

/** A data folder and the commands that are run over it. */
export interface Shell {
  readonly origin: string
  readonly environment: Readonly<Record<string, string>>
  readonly run: (...words: readonly string[]) => Promise<CommandResult>
  /** Runs a command that must succeed with --json, and gives what it printed. */
  // Tests look into many shapes; what they find there they assert.
  readonly json: (...words: readonly string[]) => Promise<any> // oxlint-disable-line typescript/no-explicit-any
  /** Starts the server and waits until it is ready. */
  readonly start: () => Promise<void>
}

/** Makes the folder; it goes with the test. */
export async function openShell(t: TestContext): Promise<Shell> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-cli-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const port = await freePort()
  const environment = {
    PATH: process.env['PATH'] ?? '',
    LATCHKEY_DATA: join(folder, 'data'),
    LATCHKEY_PUBLIC_URL: `http://localhost:${port}`,
    LATCHKEY_LISTEN: `127.0.0.1:${port}`,
    LATCHKEY_OPERATOR_EMAIL: operator.email,
    LATCHKEY_OPERATOR_PASSWORD: operator.password,
    LATCHKEY_ALLOW_PRIVATE_NETWORKS: 'loopback',
    LATCHKEY_LOG: 'error',
  }
  const launch = (words: readonly string[]) =>
    spawn(process.execPath, [entry, ...words], {
      cwd: folder,
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    })

  const run = (...words: readonly string[]): Promise<CommandResult> =>
    new Promise((resolve, reject) => {
      const child = launch(words)
      const texts = { out: '', error: '' }
      child.stdout.on('data', (chunk: Buffer) => (texts.out += chunk.toString()))
      child.stderr.on('data', (chunk: Buffer) => (texts.error += chunk.toString()))
      child.on('error', reject)
      child.on('close', (code) => resolve({ code, ...texts }))
    })

  return {
    origin: environment.LATCHKEY_PUBLIC_URL,
    environment,
    run,
    json: async (...words) => {
      const { code, out, error } = await run(...words, '--json')
      if (code !== 0) throw new Error(`${words.join(' ')}: ${error}`)
      return JSON.parse(out)
    },
    start: async () => {
      const child = launch(['start'])
      const ended = new Promise((resolve) => child.once('close', resolve))
      t.after(async () => {
        child.kill('SIGTERM')
        await ended
      })
      const ready = new Promise<void>((resolve, reject) => {
        child.stdout.once('data', () => resolve())
        child.once('close', (code) => reject(new Error(`the server ended with ${code}`)))
        setTimeout(() => reject(new Error('the server did not start')), startLimitMs).unref()
      })
      await ready
    },
  }
}
