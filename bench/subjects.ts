// What is measured of the authorization server: each server in a process of its own, started for one round and ended
// after it.
import { connectionCount } from './driver.ts'
import { startProcess } from './processes.ts'
import type { Running as RunningProcess } from './processes.ts'
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

export type Running = RunningProcess<Ready>

/** Starts the server and waits until it is ready. */
export async function startSubject({ script, more }: Subject, round: number): Promise<Running> {
  const others = (await more?.(round)) ?? []
  return startProcess<Ready>(script, [`${await freePort()}`, `${connectionCount}`, ...others])
}
