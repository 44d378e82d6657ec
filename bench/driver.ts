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
  /** Of each request; those of a form unless said. */
  readonly headers?: Readonly<Record<string, string>>
  /** One for each connection. */
  readonly workers: readonly Worker[]
  /** What a right answer contains. */
  readonly expects: string
}

export interface Measured {
  /** How many were answered in all, those of the warm-up too. */
  readonly answers: number
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
    const ran = await Promise.all(runs)
    const latencies = ran.flatMap((run) => run.latencies).toSorted((a, b) => a - b)
    return {
      answers: ran.reduce((sum, run) => sum + run.answers, 0),
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

/** How many were answered, and the latencies, in milliseconds, of the requests that began in the counted time. */
async function work(
  pool: Pool,
  load: Load,
  worker: Worker,
  { startsAt, endsAt }: { readonly startsAt: number; readonly endsAt: number },
): Promise<{ readonly answers: number; readonly latencies: readonly number[] }> {
  const { expects } = load
  const latencies: number[] = []
  let answers = 0
  let answer: string | undefined
  for (let now = performance.now(); now < endsAt; now = performance.now()) {
    answer = await ask(pool, load, worker.next(answer))
    answers += 1
    if (!answer.includes(expects)) throw new Error(`a wrong answer: ${answer.slice(0, 200)}`)
    if (now >= startsAt) latencies.push(performance.now() - now)
  }
  return { answers, latencies }
}

const ofForm = { 'content-type': 'application/x-www-form-urlencoded' }

// `dispatch` without streams around it, so that the driver does not become what is measured.
function ask(pool: Pool, { path, headers = ofForm }: Load, body: string): Promise<string> {
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
