// A server that is measured, in a process of its own: started by its script, which says on its first line where it is, and
// asked from outside for what it has used of the machine.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Used } from './gauge.ts'

/** A running server, and what it said of itself. */
export type Running<Ready> = Ready & {
  readonly used: () => Promise<Used>
  readonly stop: () => Promise<void>
}

const readyWithinMs = 60_000
const gauge = join(import.meta.dirname, 'gauge.ts')

/** Starts a script of `servers/` and waits until it is ready. `Ready` is what that script prints. */
export async function startProcess<Ready extends object>(
  script: string,
  given: readonly string[],
): Promise<Running<Ready>> {
  const file = join(import.meta.dirname, 'servers', script)
  const child = spawn(process.execPath, ['--import', gauge, file, ...given], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    env: { ...process.env, NODE_ENV: 'production' },
  })
  const ready = JSON.parse(await firstLine(child)) as Ready // its own script's words
  return { ...ready, used: () => ask(child), stop: () => stop(child) }
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    if (child.stdout === null) throw new Error('the server has no output')
    const timer = setTimeout(() => reject(new Error('the server is not ready')), readyWithinMs)
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)))
    createInterface({ input: child.stdout }).once('line', (line) => {
      clearTimeout(timer)
      resolve(line)
    })
  })
}

function ask(child: ChildProcess): Promise<Used> {
  return new Promise((resolve) => {
    child.once('message', (used) => resolve(used as Used)) // nothing else is sent to us
    child.send('used')
  })
}

function stop(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', () => resolve())
    child.kill('SIGKILL')
  })
}
