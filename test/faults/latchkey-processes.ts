// Real Latchkey processes that can be killed at any moment, with the next ones loaded already.
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Order, Word } from './latchkey.child.ts'

/** A test, or whoever else ends what was begun. */
export interface Cleanup {
  readonly after: (work: () => unknown) => void
}

/** One that is ready to be asked. */
export interface LatchkeyProcess {
  /** Sends the signal; after one that ends it, `ended` resolves. */
  readonly kill: (signal: NodeJS.Signals) => void
  readonly ended: Promise<void>
  readonly memoryBytes: () => Promise<number>
}

export type StartLatchkey = (settings: Readonly<Record<string, string>>) => Promise<LatchkeyProcess>

const startLimitMs = 60_000
const complaintChars = 4_000
const file = join(import.meta.dirname, 'latchkey.child.ts')

interface Standby {
  readonly child: ChildProcess
  readonly loaded: Promise<Word>
  readonly complaints: () => string
}

/** Keeps so many loaded; all end with the test. */
export function keepStandbys(t: Cleanup, count = 1): StartLatchkey {
  const standbys: Standby[] = []
  const children = new Set<ChildProcess>()
  let isOver = false
  const add = () => {
    if (isOver) return
    const standby = load()
    children.add(standby.child)
    standby.child.once('exit', () => children.delete(standby.child))
    standbys.push(standby)
  }
  for (let made = 0; made < count; made += 1) add()
  t.after(async () => {
    isOver = true
    await Promise.all([...children].map(end))
  })
  return async (settings) => {
    const standby = standbys.shift() ?? load()
    add()
    return startOn(standby, settings)
  }
}

function load(): Standby {
  const child = fork(file, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  let text = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    text = (text + chunk.toString()).slice(-complaintChars)
  })
  return { child, loaded: word(child, 'loaded'), complaints: () => text }
}

async function startOn(
  { child, loaded, complaints }: Standby,
  settings: Readonly<Record<string, string>>,
): Promise<LatchkeyProcess> {
  const ended = once(child, 'exit').then(() => {})
  const late = AbortSignal.timeout(startLimitMs)
  await loaded
  const ready = word(child, 'ready')
  tell(child, { kind: 'start', settings })
  const [isReady] = await Promise.race([
    ready.then(() => [true]),
    ended.then(() => [false]),
    once(late, 'abort').then(() => [false]),
  ])
  if (isReady !== true) throw new Error(`Latchkey did not start: ${complaints()}`)
  return {
    kill: (signal) => void child.kill(signal),
    ended,
    memoryBytes: async () => {
      const told = word(child, 'memory')
      tell(child, { kind: 'memory' })
      const answer = await told
      return answer.kind === 'memory' ? answer.bytes : 0
    },
  }
}

function tell(child: ChildProcess, order: Order): void {
  child.send(order)
}

function word(child: ChildProcess, kind: Word['kind']): Promise<Word> {
  return new Promise((resolve) => {
    const hear = (said: Word) => {
      if (said.kind !== kind) return
      child.off('message', hear)
      resolve(said)
    }
    child.on('message', hear)
  })
}

async function end(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}
