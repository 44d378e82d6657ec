// The rooms without doors and timers, for work at the command line; a server may run beside it.
import { existsSync } from 'node:fs'
import { join, resolve as resolvePath } from 'node:path'
import type { Secret } from './base/secret.ts'
import type { Config } from './config.ts'
import type { Servers } from './connectors/servers.ts'
import { opening } from './ground.ts'
import type { SweepCounts } from './housekeeping.ts'
import type { Issuer } from './issuer/issuer.ts'
import type { AttemptList } from './journal/attempt-list.ts'
import { usageDays, usageDaysOf, usageKindOf, usageKinds } from './journal/call-usage.ts'
import type { AskCallUsage } from './journal/call-usage.ts'
import { testMarkHeader } from './journal/test-mark.ts'
import type { Usage } from './journal/usage.ts'
import { listMasterKeys } from './key-file.ts'
import type { MasterKeyStatus } from './key-file.ts'
import type { ApiKeyAdministration } from './people/api-key-administration.ts'
import type { Providers } from './people/providers.ts'
import type { Sessions } from './people/sessions.ts'
import type { TenantAdministration } from './people/tenant-administration.ts'
import type { Tenant, Tenants } from './people/tenants.ts'
import type { UserAdministration } from './people/user-administration.ts'
import type { Users } from './people/users.ts'
import { databaseFile } from './configured-store.ts'
import { createRoomsOver } from './rooms.ts'
import type { Ground, RoomsWorld } from './rooms.ts'

export { usageDays, usageDaysOf, usageKindOf, usageKinds }

/** What a command works with. */
export interface Workshop {
  /** The one that the work is about. */
  readonly tenant: Tenant
  readonly tenants: Pick<Tenants, 'bySlug'>
  readonly tenantAdministration: TenantAdministration
  readonly issuer: Issuer
  readonly servers: Servers
  readonly providers: Pick<Providers, 'list' | 'create' | 'update' | 'remove'>
  readonly users: Users
  readonly people: UserAdministration
  readonly apiKeys: ApiKeyAdministration
  readonly sessions: Pick<Sessions, 'begin'>
  readonly masterKeys: () => Promise<readonly MasterKeyStatus[]>
  readonly ground: Pick<Ground, 'db' | 'clock' | 'random' | 'journal'>
  readonly attempts: Pick<AttemptList, 'list' | 'read'>
  readonly usage: Pick<Usage, 'report'>
  readonly callUsage: AskCallUsage
  /** The header of a request that is a test of ours: what is refused of it counts as nobody's failure. */
  readonly testHeader: () => { readonly name: string; readonly value: Secret }
  /** Deletes what has expired and says how much of what. */
  readonly sweep: () => Promise<SweepCounts>
  readonly close: () => Promise<void>
}

/** What a workshop takes from the world. */
export interface WorkshopWorld extends RoomsWorld {
  /** Whose work it is; the default tenant's unless said. */
  readonly tenantSlug?: string
}

/**
 * Opens the rooms over the database and key of the settings; the tenant stays where the server has put it. Throws an Error
 * in plain words when there is no such tenant.
 */
export function openWorkshop(config: Config, world: WorkshopWorld = {}): Promise<Workshop> {
  if (world.store === undefined) requireHome(config)
  return opening(async ({ closers, close }) => {
    const { ground, rooms, sweep } = await createRoomsOver(config, world, closers)
    const { attemptList: attempts, usage, callUsage } = ground
    const { issuer, servers, users, sessions, administration: people } = rooms
    const { tenants, tenantAdministration, providers, apiKeyAdministration: apiKeys } = rooms
    const masterKeys = () => listMasterKeys(ground)
    const served = (await tenants.default()) ?? (await tenants.ensureDefault(config.publicUrl))
    const tenant = await chooseTenant(tenants, served, world.tenantSlug)
    const testHeader = () => ({ name: testMarkHeader, value: ground.testMarks.make(tenant.id) })
    const persons = { users, sessions, people, apiKeys, providers }
    const watch = { masterKeys, attempts, usage, callUsage, sweep }
    const hosts = { tenant, tenants, tenantAdministration }
    return { ...hosts, ground, issuer, servers, ...persons, ...watch, testHeader, close }
  })
}

async function chooseTenant(
  tenants: Pick<Tenants, 'bySlug'>,
  served: Tenant,
  slug: string | undefined,
): Promise<Tenant> {
  if (slug === undefined) return served
  const chosen = await tenants.bySlug(slug)
  if (chosen !== undefined) return chosen
  throw new Error(`There is no tenant ${slug}. "latchkey tenants list" shows all.`)
}

/** A command in the wrong folder must not make a second, empty Latchkey there. */
function requireHome({ databaseUrl, dataFolder }: Config): void {
  if (databaseUrl !== undefined || existsSync(join(dataFolder, databaseFile))) return
  throw new Error(
    `There is no Latchkey in ${resolvePath(dataFolder)}. Set LATCHKEY_DATA to its folder, or run "latchkey start" first.`,
  )
}
