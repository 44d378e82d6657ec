// Asks a server as fast as it answers, over a fixed number of connections with one request each at a time, and says how
// often and how quickly it did. A wrong answer ends the measurement: a fast refusal is no result.
import { Pool } from 'undici'
import type { Dispatcher } from 'undici'

export const connectionCount = 32

/** One worker's requests, each made from the answer before. */
export interface Worker {
  readonly next: (answer: string | undefined) => string
}

export interface Load {
  readonly origin: string
  readonly path: string
  /** One for each connection. */
  readonly workers: readonly Worker[]
  /** What a right answer contains. */
  readonly expects: string
}

export interface Measured {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** Runs the load, first for the warm-up, which is not counted, then for the given time. */
export async function measure(load: Load, times: Times): Promise<Measured> {
  const pool = new Pool(load.origin, { connections: load.workers.length, pipelining: 1 })
  try {
    const startsAt = performance.now() + times.warmUpMs
    const endsAt = startsAt + times.countedMs
    const runs = load.workers.map((worker) => work(pool, load, worker, { startsAt, endsAt }))
    const latencies = (await Promise.all(runs)).flat().toSorted((a, b) => a - b)
    return {
      perSecond: latencies.length / (times.countedMs / 1000),
      p50Ms: percentile(latencies, 0.5),
      p99Ms: percentile(latencies, 0.99),
    }
  } finally {
    await pool.close()
  }
}

export interface Times {
  readonly warmUpMs: number
  readonly countedMs: number
}

/** The latencies, in milliseconds, of the requests that began in the counted time. */
async function work(
  pool: Pool,
  { path, expects }: Load,
  worker: Worker,
  { startsAt, endsAt }: { readonly startsAt: number; readonly endsAt: number },
): Promise<number[]> {
  const latencies: number[] = []
  let answer: string | undefined
  for (let now = performance.now(); now < endsAt; now = performance.now()) {
    answer = await ask(pool, path, worker.next(answer))
    if (!answer.includes(expects)) throw new Error(`a wrong answer: ${answer.slice(0, 200)}`)
    if (now >= startsAt) latencies.push(performance.now() - now)
  }
  return latencies
}

const headers = { 'content-type': 'application/x-www-form-urlencoded' }

// `dispatch` without streams around it, so that the driver does not become what is measured.
function ask(pool: Pool, path: string, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: () => {},
      onResponseStart: () => {},
      onResponseData: (_controller, chunk) => {
        text += chunk.toString('latin1')
      },
      onResponseEnd: () => resolve(text),
      onResponseError: (_controller, error) => reject(error),
    }
    pool.dispatch({ path, method: 'POST', headers, body }, handler)
  })
}

/** Which value so large a part of them does not pass. */
export function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}
