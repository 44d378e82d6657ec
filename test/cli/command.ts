// The command line as an operator runs it: real processes over a data folder of their own.
import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { readConfig } from '../../src/config.ts'
import { openConfiguredStore } from '../../src/configured-store.ts'
import { openWorkshop } from '../../src/workshop.ts'
import { makeDatabaseFolder } from '../database-folder.ts'
import { freePort, operator } from '../harness.ts'
import { ask } from '../http/doors.ts'
import type { Ask, Doors } from '../http/doors.ts'

const entry = join(import.meta.dirname, '..', '..', 'src', 'cli', 'entry.ts')
const startLimitMs = 20_000
const talkLimitMs = 20_000

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
  /** The same with a text in its pipe. */
  readonly pipe: (input: string, ...words: readonly string[]) => Promise<CommandResult>
  /** Runs a command that must succeed with --json, and gives what it printed. */
  // Tests look into many shapes; what they find there they assert.
  readonly json: (...words: readonly string[]) => Promise<any> // oxlint-disable-line typescript/no-explicit-any
  /** Starts the server and waits until it is ready. */
  readonly start: () => Promise<void>
  /** Runs a command in a terminal of its own; gives each answer when its question stands there. */
  readonly talk: (
    words: readonly string[],
    talk: readonly (readonly [question: RegExp, answer: string])[],
  ) => Promise<CommandResult>
  /** Begins a command and leaves it running; `seen` resolves when it has printed this. */
  readonly begin: (...words: readonly string[]) => RunningCommand
}

export interface RunningCommand {
  readonly kill: (signal: NodeJS.Signals) => void
  readonly seen: (text: string) => Promise<void>
  readonly ended: Promise<CommandResult>
}

/** Makes the folder; it goes with the test. */
export async function openShell(
  t: TestContext,
  settings: Readonly<Record<string, string>> = {},
): Promise<Shell> {
  const folder = makeDatabaseFolder('cli')
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
    ...settings,
  }
  const launch = (words: readonly string[]) =>
    spawn(process.execPath, [entry, ...words], { cwd: folder, env: environment })

  const pipe = (input: string, ...words: readonly string[]): Promise<CommandResult> =>
    new Promise((resolve, reject) => {
      const child = launch(words)
      child.stdin.on('error', () => {}) // a command that reads nothing closes it
      child.stdin.end(input)
      child.on('error', reject)
      void endOf(child).then(resolve)
    })

  const run = (...words: readonly string[]) => pipe('', ...words)

  return {
    origin: environment.LATCHKEY_PUBLIC_URL,
    environment,
    run,
    pipe,
    talk: async (words, talk) => {
      // util-linux; the command sees a terminal, and we see what it shows.
      const command = [process.execPath, entry, ...words].map((word) => `'${word}'`).join(' ')
      const child = spawn('script', ['-qefc', command, '/dev/null'], {
        cwd: folder,
        env: { ...environment, TERM: 'xterm' },
      })
      const rest = [...talk]
      let shown = ''
      child.stdout.on('data', (chunk: Buffer) => {
        shown = plain(shown + chunk.toString())
        const [next] = rest
        if (next === undefined || !next[0].test(shown)) return
        shown = ''
        rest.shift()
        child.stdin.write(next[1])
      })
      const limit = setTimeout(() => child.kill('SIGKILL'), talkLimitMs)
      const result = await endOf(child)
      clearTimeout(limit)
      return { ...result, out: plain(result.out) }
    },
    begin: (...words) => {
      const child = launch(words)
      return {
        kill: (signal) => void child.kill(signal),
        ended: endOf(child),
        seen: (text) =>
          new Promise((resolve, reject) => {
            let out = ''
            child.stdout.on('data', (chunk: Buffer) => {
              out += chunk.toString()
              if (out.includes(text)) resolve()
            })
            child.once('close', () => reject(new Error(`it ended before it said ${text}`)))
          }),
      }
    },
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

/** What a terminal shows, without the words by which it moves its cursor. */
function plain(shown: string): string {
  return shown.replaceAll(/\u001b\[[\d;?]*[A-Za-z]/g, '').replaceAll('\r', '')
}

function endOf(child: ChildProcessWithoutNullStreams): Promise<CommandResult> {
  const texts = { out: '', error: '' }
  child.stdout.on('data', (chunk: Buffer) => (texts.out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (texts.error += chunk.toString()))
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, ...texts })))
}

/** The doors of the server that a shell has started, for the clients of test/http. */
export function doorsOf({ origin }: Shell): Doors {
  const doors = { origin, ask: (request: Ask) => ask(origin, request) }
  return doors as unknown as Doors // a client needs no more of them
}

/** The rooms over the same database, as a second process beside the server. */
export async function openBeside(t: TestContext, shell: Shell) {
  const config = readConfig(shell.environment)
  const store = await openConfiguredStore(config)
  const workshop = await openWorkshop(config, { store })
  t.after(async () => {
    await workshop.close()
    await store.close()
  })
  return { ...workshop, db: store.db }
}
