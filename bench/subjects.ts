// What is measured: each server in a process of its own, started for one round and ended after it.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { connectionCount } from './driver.ts'
import { freePort } from '../test/harness.ts'

export interface Subject {
  readonly name: string
  /** What it keeps, and where. */
  readonly keeps: string
  readonly script: string
  /** More arguments for the script, made anew for each round. */
  readonly more?: (round: number) => Promise<readonly string[]>
}

interface Credentials {
  readonly id: string
  readonly secret: string
}

/** What a server says of itself when it is ready. */
export interface Ready {
  readonly origin: string
  readonly tokenPath: string
  readonly introspectionPath: string
  readonly machine: Credentials
  readonly app: Credentials
  readonly refreshTokens: readonly string[]
}

export interface Running extends Ready {
  readonly stop: () => Promise<void>
}

const readyWithinMs = 60_000

/** Starts the server and waits until it is ready. */
export async function startSubject({ script, more }: Subject, round: number): Promise<Running> {
  const others = (await more?.(round)) ?? []
  const port = await freePort()
  const file = join(import.meta.dirname, 'servers', script)
  const child = spawn(process.execPath, [file, `${port}`, `${connectionCount}`, ...others], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_ENV: 'production' },
  })
  const ready = await firstLine(child)
  return { ...(JSON.parse(ready) as Ready), stop: () => stop(child) } // each script prints this shape
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

function stop(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', () => resolve())
    child.kill('SIGKILL')
  })
}
