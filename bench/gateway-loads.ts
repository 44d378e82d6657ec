// What is asked of a gateway: calls of a tool one after the other, streams whose events say when they were sent, and streams
// that only stay open. All of it as a client of MCP 2025-11-25 that has begun a session.
import { Agent, Pool, request } from 'undici'
import type { Dispatcher } from 'undici'
import { percentile } from './driver.ts'
import type { Load } from './driver.ts'

/** Where a client asks, and with which header fields. */
export interface Target {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
}

/** Begins a session: the same place with the fields that each later request of it has. */
export async function begin({ url, headers }: Target): Promise<Target> {
  const fields = {
    ...headers,
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
  }
  const params = {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'bench', version: '1.0.0' },
  }
  const begun = await request(url, {
    method: 'POST',
    headers: fields,
    body: JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params }),
  })
  const text = await begun.body.text()
  if (begun.statusCode !== 200) throw new Error(`no session: ${begun.statusCode} ${text}`)
  const id = begun.headers['mcp-session-id']
  const later = {
    ...fields,
    'mcp-protocol-version': '2025-11-25',
    ...(typeof id === 'string' ? { 'mcp-session-id': id } : {}),
  }
  const body = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' })
  const told = await request(url, { method: 'POST', headers: later, body })
  await told.body.dump()
  return { url, headers: later }
}

const said = 'what the tool is asked to say, about as long as a question to a tool is'

/** Calls of a tool over so many connections, one at a time on each. */
export function callsOf({ url, headers }: Target, tool: string, connections: number): Load {
  const { origin, pathname: path } = new URL(url)
  let id = 0
  const next = () =>
    `{"jsonrpc":"2.0","id":${(id += 1)},"method":"tools/call","params":{"name":"${tool}","arguments":{"text":"${said}"}}}`
  const workers = Array.from({ length: connections }, () => ({ next }))
  return { origin, path, headers, workers, expects: said }
}

export interface Delays {
  readonly p50Ms: number
  readonly p99Ms: number
}

interface Ticking {
  readonly streams: number
  readonly everyMs: number
  readonly count: number
}

/** How long after it was sent each event of so many streams arrived; both ends read the clock of the same machine. */
export async function measureDelays(target: Target, ticking: Ticking): Promise<Delays> {
  const pool = new Pool(new URL(target.url).origin, { connections: ticking.streams, pipelining: 1 })
  try {
    const streams = Array.from({ length: ticking.streams }, (_, at) =>
      delaysOf(pool, target, ticking, at),
    )
    const delays = (await Promise.all(streams)).flat().toSorted((a, b) => a - b)
    if (delays.length < ticking.streams * ticking.count) throw new Error('events were lost')
    return { p50Ms: percentile(delays, 0.5), p99Ms: percentile(delays, 0.99) }
  } finally {
    await pool.destroy()
  }
}

const idsOfStreams = 1_000_000

function delaysOf(
  pool: Pool,
  { url, headers }: Target,
  { everyMs, count }: Ticking,
  at: number,
): Promise<number[]> {
  const id = idsOfStreams + at
  const params = {
    name: 'ticks',
    arguments: { text: 'over', everyMs, count },
    _meta: { progressToken: `stream-${at}` },
  }
  const body = JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params })
  const delays: number[] = []
  return new Promise((resolve, reject) => {
    pool.dispatch(
      { path: new URL(url).pathname, method: 'POST', headers, body, bodyTimeout: 0 },
      {
        onRequestStart: () => {},
        onResponseStart: () => {},
        onResponseData: (_controller, chunk) => {
          const now = process.hrtime.bigint()
          for (const [, sent = '0'] of chunk.toString('latin1').matchAll(/sent (\d+)/g)) {
            delays.push(Number(now - BigInt(sent)) / 1e6)
          }
        },
        onResponseEnd: () => resolve(delays),
        onResponseError: (_controller, error) => reject(error),
      },
    )
  })
}

/** Opens so many streams and keeps them open, each on a connection of its own; resolves when all have begun. */
export async function keepOpen({ url, headers }: Target, count: number) {
  const agent = new Agent({ bodyTimeout: 0 })
  const { origin, pathname: path } = new URL(url)
  const { 'content-type': _none, ...fields } = headers
  const open = () =>
    new Promise<void>((resolve, reject) => {
      const handler: Dispatcher.DispatchHandler = {
        onRequestStart: () => {},
        onResponseStart: (_controller, status) => {
          if (status !== 200) reject(new Error(`a stream was answered with ${status}`))
        },
        onResponseData: () => resolve(),
        onResponseEnd: () => {},
        onResponseError: (_controller, error) => reject(error),
      }
      agent.dispatch({ origin, path, method: 'GET', headers: fields, bodyTimeout: 0 }, handler)
    })
  // A few at a time: a flood of connections at once is not what is measured.
  for (let opened = 0; opened < count; opened += atOnce) {
    await Promise.all(Array.from({ length: Math.min(atOnce, count - opened) }, open))
  }
  return { close: () => agent.destroy() }
}

const atOnce = 25
