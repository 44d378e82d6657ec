// What every rig with real processes begins with: a database, the settings of a Latchkey over it, a person with an API key,
// a fault provider, and many connections to it. The rig reads and turns the database beside the processes: a time that has
// to pass is set back there.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { systemClock } from '../../src/base/clock.ts'
import { createKeyring } from '../../src/base/keyring.ts'
import { systemRandom } from '../../src/base/random.ts'
import { readConfig } from '../../src/config.ts'
import { openMasterKeys } from '../../src/key-file.ts'
import { openConfiguredStore } from '../../src/configured-store.ts'
import type { Database } from '../../src/store/database.ts'
import { timeOf } from '../../src/store/time.ts'
import { createVault } from '../../src/upstream/vault.ts'
import type { Faults, FaultProvider } from '../fakes/fault-provider.ts'
import { startFaultProvider } from '../fakes/fault-provider.ts'
import { freePort, operator, restAs, signIn } from '../harness.ts'
import { pgliteUrl, startPostgres } from '../postgres-server.ts'
import { asOwner, databaseUrl } from '../templates.ts'
import { copyConnections } from './copies.ts'
import type { Cleanup, LatchkeyProcess, StartLatchkey } from './latchkey-processes.ts'

export const databases = ['sqlite', 'postgres'] as const
export type DatabaseKind = (typeof databases)[number]

/** What a rig stands on. */
export interface Setting {
  readonly provider: FaultProvider
  readonly settings: Readonly<Record<string, string>>
  readonly databaseUrl: string | undefined
  readonly db: Database
  readonly ids: readonly string[]
  /** REST with the API key; `port` is another process than the first. */
  readonly rest: (method: string, path: string, how?: How) => Promise<RestAnswer>
  readonly start: (more?: Readonly<Record<string, string>>) => Promise<LatchkeyProcess>
}

interface How {
  readonly port?: number
  readonly signal?: AbortSignal
}

export interface RestAnswer {
  readonly status: number
  // Rigs look into many shapes; what they find there they assert.
  readonly body: any // oxlint-disable-line typescript/no-explicit-any
}

interface Options {
  readonly database: DatabaseKind
  readonly connections: number
  readonly faults?: Partial<Faults>
  readonly startLatchkey: StartLatchkey
  /** A Postgres of the rig's own, which it stops and starts. */
  readonly url?: string
}

const answerLimitMs = 120_000

/** Makes it; undefined where the database cannot be had. */
export async function openSetting(
  t: Cleanup,
  { database, connections, faults, startLatchkey, url }: Options,
): Promise<Setting | undefined> {
  const where = database === 'sqlite' ? {} : await makeDatabase(t, url)
  if (where === undefined) return undefined
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-faults-'))
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  const port = await freePort()
  const origin = `http://localhost:${port}`
  const settings = {
    LATCHKEY_DATA: join(folder, 'data'),
    LATCHKEY_KEY: randomBytes(32).toString('base64url'),
    LATCHKEY_PUBLIC_URL: origin,
    LATCHKEY_LISTEN: `127.0.0.1:${port}`,
    LATCHKEY_ALLOW_PRIVATE_NETWORKS: 'loopback',
    LATCHKEY_LIMIT_SCALE: '0',
    LATCHKEY_LOG: 'error',
    ...where,
  }
  const provider = await startFaultProvider(faults)
  t.after(provider.stop)
  const start: Setting['start'] = (more = {}) => startLatchkey({ ...settings, ...more })
  const first = await start({
    LATCHKEY_OPERATOR_EMAIL: operator.email,
    LATCHKEY_OPERATOR_PASSWORD: operator.password,
  })
  const store = await openConfiguredStore(readConfig(settings))
  t.after(store.close)
  const { key, connect } = await signInByHand(origin)
  const firstId = await connect(provider.mcpUrl)
  first.kill('SIGTERM')
  await first.ended
  const agent = new Agent({
    pipelining: 0,
    bodyTimeout: 0,
    headersTimeout: answerLimitMs,
  })
  t.after(() => agent.destroy())
  const asked = { agent, key, host: new URL(origin).host }
  const vault = await openVault(store.db, settings)
  const sample = { db: store.db, vault, provider, id: firstId, now: Date.now() }
  return {
    provider,
    settings,
    databaseUrl: settings['LATCHKEY_DATABASE_URL' as keyof typeof settings],
    db: store.db,
    ids: [firstId, ...(await copyConnections(sample, connections - 1))],
    rest: (method, path, how = {}) => ask({ port, ...asked, ...how }, method, path),
    start,
  }
}

/** The same vault that the processes have. */
async function openVault(db: Database, settings: Readonly<Record<string, string>>) {
  const ground = { db, clock: systemClock, random: systemRandom }
  const keyring = createKeyring(ground, await openMasterKeys(ground, readConfig(settings)))
  return createVault({ ...ground, time: timeOf(systemClock), keyring })
}

async function makeDatabase(t: Cleanup, given: string | undefined) {
  const server = given === undefined ? await startPostgres() : undefined
  if (server?.kind === 'none' || server?.url === pgliteUrl) return undefined
  const url = given ?? server?.url ?? ''
  const name = `faults_${randomBytes(8).toString('hex')}`
  await asOwner(url, `create database ${name}`)
  t.after(async () => {
    if (given === undefined) await asOwner(url, `drop database ${name} with (force)`)
    await server?.stop()
  })
  return { LATCHKEY_DATABASE_URL: databaseUrl(url, name) }
}

/** Everything that a person does in a browser once: an API key, and a first connection. */
async function signInByHand(origin: string) {
  const browser = await signIn(origin)
  const api = restAs(browser, origin)
  const scopes = ['api', 'connections:token']
  const { body: made } = await api('POST', '/api-keys', { name: 'rig', scopes })
  const connect = async (url: string): Promise<string> => {
    const { body: server } = await api('POST', '/servers', { url })
    const { body: connection } = await api('POST', '/connections', { serverId: server.id })
    const { body: begun } = await api('POST', `/connections/${connection.id}/authorize`, {})
    await browser.open(begun.authorizeUrl)
    const { body: after } = await api('GET', `/connections/${connection.id}`)
    if (after.status !== 'connected') throw new Error(`not connected: ${JSON.stringify(after)}`)
    return connection.id
  }
  return { key: String(made.key), connect }
}

async function ask(
  to: How & { readonly agent: Agent; readonly key: string; readonly host: string },
  method: string,
  path: string,
): Promise<RestAnswer> {
  const { statusCode: status, body } = await request(`http://127.0.0.1:${to.port}/api/v1${path}`, {
    method: method as 'GET', // undici's names of methods
    dispatcher: to.agent,
    ...(to.signal === undefined ? {} : { signal: to.signal }),
    headers: { authorization: `Bearer ${to.key}`, host: to.host },
  })
  const text = await body.text()
  return { status, body: text === '' ? undefined : JSON.parse(text) }
}

/** Sets the tokens' end into the past, as if an hour had gone by. */
export async function makeDue(db: Database, ids?: readonly string[]): Promise<void> {
  const past = Date.now() - 1
  const due = db.updateTable('credentials').set({ expires_at: past, next_refresh_at: past })
  await (ids === undefined ? due : due.where('connection_id', 'in', ids)).execute()
}

/** Lets the time go by that a lease of a dead process lasts. */
export async function endLeases(db: Database): Promise<void> {
  await db
    .updateTable('credentials')
    .set({ lease_until: 1, next_refresh_at: 1 })
    .where('lease_until', 'is not', null)
    .execute()
}

/** Asks again and again until it is so; throws after the limit. */
export async function until(
  what: string,
  isSo: () => Promise<boolean>,
  { limitMs = 30_000, everyMs = 20 } = {},
): Promise<void> {
  const giveUpAt = performance.now() + limitMs
  while (!(await isSo())) {
    if (performance.now() > giveUpAt) throw new Error(`not within ${limitMs} ms: ${what}`)
    await sleep(everyMs)
  }
}

/** Does it for all, so many at once. */
export async function forAll<T, R>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = []
  const waiting = items.entries()
  const worker = async () => {
    for (const [at, item] of waiting) results[at] = await work(item)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return results
}
