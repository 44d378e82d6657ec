// The benchmark of the gateway: the same calls to the same server directly, through a proxy that only copies bytes, through
// Latchkey on both databases, and through peers, measured in turn again and again, so that what the machine does meanwhile
// meets all alike. Prints tables in Markdown; `--write` puts them into docs/performance.md.
import { loadavg } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../test/harness.ts'
import { startPostgres } from '../test/postgres-server.ts'
import { asOwner, databaseUrl } from '../test/templates.ts'
import { measure } from './driver.ts'
import { begin, callsOf, keepOpen, measureDelays } from './gateway-loads.ts'
import type { Target } from './gateway-loads.ts'
import { formatGatewayReport } from './gateway-report.ts'
import type { Grown, Round } from './gateway-report.ts'
import { installPeers } from './peers.ts'
import { startProcess } from './processes.ts'
import type { Running } from './processes.ts'
import { writeReport } from './report.ts'

const rounds = Number(/\d+/.exec(process.argv.find((word) => word.startsWith('--rounds=')) ?? '5'))
const many = 32
const times = { warmUpMs: 500, countedMs: 2_000 }
const ticking = { streams: 16, everyMs: 10, count: 150 }
const openStreams = 1_000
const settleMs = 2_000

interface Subject {
  readonly name: string
  /** Absent for the server itself. */
  readonly script?: string
  readonly more?: () => Promise<readonly string[]>
  /** How much its memory grows with open streams is measured as well. */
  readonly isWeighed?: true
}

interface Upstream {
  readonly url: string
  readonly token: string
}

const [loadBefore = 0] = loadavg()
installPeers()
const postgres = await startPostgres({ isDurable: true })
if (postgres.kind === 'none') throw new Error(`no Postgres: ${postgres.because}`)
let databases = 0
const freshDatabase = async () => {
  const name = `bench_gateway_${(databases += 1)}`
  await asOwner(postgres.url, `create database ${name}`)
  return [databaseUrl(postgres.url, name)]
}
const gateway = 'latchkey-gateway.ts'
const subjects: readonly Subject[] = [
  { name: 'the server itself' },
  { name: 'a bare proxy', script: 'bare-proxy.ts', isWeighed: true },
  { name: 'Latchkey, embedded database', script: gateway, isWeighed: true },
  { name: 'Latchkey, Postgres', script: gateway, more: freshDatabase },
  { name: 'mcp-proxy 6.7', script: 'mcp-proxy.js' },
]
const upstream = await startProcess<Upstream>('mcp-upstream.ts', [`${await freePort()}`])
const measured: Round[] = []
const grown: Grown[] = []
try {
  const running = await startAll()
  // The first round is for warming up: what does more needs longer until the engine has compiled it.
  for (let round = 0; round <= rounds; round += 1) {
    for (const one of running) {
      const result = await runRound(round, one)
      if (round > 0) measured.push(result)
    }
  }
  for (const { server } of running) await server.stop()
  for (const subject of subjects) if (subject.isWeighed) grown.push(await weigh(subject))
} finally {
  await upstream.stop()
  await postgres.stop()
}
const report = formatGatewayReport({ loadBefore, rounds: measured, grown })
console.log(report)
if (process.argv.includes('--write')) writeReport('npm run bench:gateway', report)

interface RunningSubject {
  readonly subject: Subject
  readonly server: Running<Target>
}

/** All of them run all the time: one that is not asked costs nothing, and each stays as warm as it is. */
async function startAll(): Promise<readonly RunningSubject[]> {
  const running: RunningSubject[] = []
  for (const subject of subjects) running.push({ subject, server: await start(subject) })
  return running
}

async function start({ script, more }: Subject): Promise<Running<Target>> {
  const { url, token } = upstream
  const headers = { authorization: `Bearer ${token}` }
  if (script === undefined) return { url, headers, used: upstream.used, stop: async () => {} }
  const where = JSON.stringify({ upstreamUrl: url, token })
  return startProcess<Target>(script, [`${await freePort()}`, where, ...((await more?.()) ?? [])])
}

async function runRound(round: number, { subject, server }: RunningSubject): Promise<Round> {
  const target = await begin(server)
  const delays = await measureDelays(target, ticking)
  const alone = await measure(callsOf(target, 'echo', 1), times)
  const before = await server.used()
  const calls = await measure(callsOf(target, 'echo', many), times)
  const streamed = await measure(callsOf(target, 'echo_stream', many), times)
  // What is done after the answers, such as the journal's chain, is its own cost and not the next one's.
  await sleep(settleMs)
  const { cpuMs } = await server.used()
  const cpuMsPerCall = (cpuMs - before.cpuMs) / (calls.answers + streamed.answers)
  const result = { name: subject.name, calls, cpuMsPerCall, alone, streamed, delays }
  console.error(`round ${round}, ${subject.name}: ${Math.round(calls.perSecond)} calls/s`)
  return result
}

/** In a process that has answered calls but never held a stream. */
async function weigh(subject: Subject): Promise<Grown> {
  const server = await start(subject)
  try {
    const target = await begin(server)
    await measure(callsOf(target, 'echo', many), times)
    await sleep(settleMs)
    const before = await server.used()
    const streams = await keepOpen(target, openStreams)
    await sleep(settleMs)
    const after = await server.used()
    await streams.close()
    const [beforeBytes, afterBytes] = [before.rssBytes, after.rssBytes]
    return { name: subject.name, streams: openStreams, beforeBytes, afterBytes }
  } finally {
    await server.stop()
  }
}
