// The one place where parts meet: the rooms, the doors before them, and the work that comes by the clock. Reads like a plan.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { isFault } from './base/fault.ts'
import { silentLog } from './base/log.ts'
import { randomId, systemRandom } from './base/random.ts'
import type { Config } from './config.ts'
import type { Servers } from './connectors/servers.ts'
import { opening } from './ground.ts'
import type { Ending } from './ground.ts'
import { startHousekeeping } from './housekeeping.ts'
import { createApp } from './http/app.ts'
import type { CallerOf } from './http/callers-address.ts'
import { createCallerOf } from './http/callers-address.ts'
import { createGuards } from './http/guards.ts'
import { createIdempotency } from './http/idempotency.ts'
import { listen, stopListening } from './http/listening.ts'
import { createSharedCounts } from './http/limit-counts.ts'
import { createLimiter } from './http/limiter.ts'
import { createMeters } from './http/meter.ts'
import type { MeterOf } from './http/meter.ts'
import { createMetricsListener } from './http/metrics-listener.ts'
import { createMetrics } from './http/metrics.ts'
import { createListener } from './http/node.ts'
import { createRoutes } from './http/routes.ts'
import { createWitness } from './http/witness.ts'
import type { Scopes } from './issuer/scope-registry.ts'
import type { Setup } from './people/setup.ts'
import type { Tenant } from './people/tenants.ts'
import type { Store } from './store/database.ts'
import { takeProcessName } from './store/process-name.ts'
import { createRoomsOver } from './rooms.ts'
import type { Ground, Rooms, RoomsWorld } from './rooms.ts'

/** What a platform takes from the world. */
export interface World extends RoomsWorld {
  /** Opens the port of the settings; without it only `fetch` serves. */
  readonly opensPort?: boolean
}

export interface Platform {
  /** Every door but `/{slug}/mcp`, which needs the streams of a listener. */
  readonly fetch: (
    request: Request,
    from?: { readonly remoteAddress?: string | undefined },
  ) => Promise<Response>
  /** The one-time link that makes the first operator, while nobody exists. */
  readonly setupLink: () => Promise<string | undefined>
  readonly tenant: Tenant
  readonly servers: Servers
  readonly scopes: Scopes
  /** Where the default tenant was before this start, if the setting has moved it. */
  readonly movedFrom: string | undefined
  readonly store: Store
  readonly close: () => Promise<void>
}

/** Makes a platform over the database and key that the settings name; migrates first. Leaves nothing open when it fails. */
export function createPlatform(config: Config, world: World = {}): Promise<Platform> {
  return opening((ending) => assemble(config, world, ending))
}

async function assemble(
  config: Config,
  world: World,
  { closers, close }: Ending,
): Promise<Platform> {
  const processName = () => takeName(config, world, closers)
  const serving = { ...world, processName }
  const { store, ground, rooms, sweep } = await createRoomsOver(config, serving, closers)
  const limiter = createLimiter({ ...ground, counts: createSharedCounts(ground) })
  closers.push(limiter.close)
  const callerOf = createCallerOf(config.trustedProxies)
  const meterOf = createMeters({ ...ground, limiter }, config)
  const parts = { ...ground, ...rooms, callerOf, meterOf }
  const { app, listener, metricsListener } = createDoors(parts, closers)
  // Before anybody is served: tokens that an earlier process had to leave on disk.
  await rooms.upstream.refresh.takeUp()
  // The port first: whoever finds it taken must not have moved the tenant of the one who has it.
  if (world.opensPort === true) {
    await listen(listener, config.listen, 'LATCHKEY_LISTEN and LATCHKEY_PUBLIC_URL')
    closers.push(() => stopListening(listener))
    if (config.metricsListen !== undefined) {
      await listen(metricsListener, config.metricsListen, 'LATCHKEY_METRICS_LISTEN')
      closers.push(() => stopListening(metricsListener))
    }
  }

  const before = await rooms.tenants.default()
  const tenant = await rooms.tenants.ensureDefault(config.publicUrl)
  await makeOperator(rooms.setup, tenant, config)
  const { webhooks, upstream, issuer } = rooms
  const { refresh, revocations } = upstream
  const jobs = { webhooks, issuer, refresh, revocations, sweep }
  const housekeeping = startHousekeeping({ ...ground, ...jobs })
  closers.push(housekeeping.stop)

  return {
    fetch: app,
    tenant,
    servers: rooms.servers,
    scopes: rooms.issuer.scopes,
    movedFrom: before?.issuer === tenant.issuer ? undefined : before?.issuer,
    store,
    setupLink: async () => {
      const link = await rooms.setup.link(tenant)
      return link?.url.reveal()
    },
    close,
  }
}

/** The name that the process before this one had in this data folder; none while another one is alive there. */
function takeName(
  { dataFolder }: Config,
  { random = systemRandom, log = silentLog }: World,
  closers: Ending['closers'],
): string | undefined {
  try {
    mkdirSync(dataFolder, { recursive: true, mode: 0o700 })
    const taken = takeProcessName(join(dataFolder, 'process.lock'), () => randomId(random, 'run_'))
    if (taken !== undefined) closers.push(async () => taken.release())
    return taken?.name
  } catch (cause) {
    log.info({ cause }, 'without a data folder, what an ended process left waits for its lease')
    return undefined
  }
}

/** Makes the operator of the settings. Throws an Error that names the setting which cannot be used. */
async function makeOperator(setup: Setup, tenant: Tenant, { operator }: Config): Promise<void> {
  if (operator === undefined) return
  try {
    await setup.fromSettings(tenant, operator)
  } catch (cause) {
    if (!isFault(cause) || cause.detail === undefined) throw cause
    const words = Object.entries(cause.detail).map(
      ([field, hint]) => `LATCHKEY_OPERATOR_${field.toUpperCase()}: ${hint}`,
    )
    throw new Error(words.join(' '), { cause })
  }
}

/** The doors: rows, guards, and the listener that hands streams to the gateway. */
function createDoors(
  parts: Ground & Rooms & { readonly callerOf: CallerOf; readonly meterOf: MeterOf },
  closers: Ending['closers'],
) {
  const metrics = createMetrics()
  closers.push(async () => metrics.close())
  const { usage, notes } = parts
  const measurements = async () =>
    metrics.text({ tableRows: await usage.tableRows(), notesDropped: notes.dropped() })
  const app = createApp({
    ...parts,
    routes: createRoutes({ ...parts, measurements }),
    witness: createWitness({ ...parts, metrics }),
    admit: createGuards(parts),
    idempotency: createIdempotency(parts),
  })
  return {
    app,
    listener: createListener({ ...parts, app, metrics }),
    metricsListener: createMetricsListener(parts, measurements),
  }
}
