// Keeps the registrations of strangers few: an identical one of a public client is found again instead of made anew, and
// there are only so many that nobody ever used (X-24, P-13). A client that was used once, or is being asked about right now,
// is never touched here.
import { createHash } from 'node:crypto'
import type { ExpressionBuilder } from 'kysely'
import type { Clock } from '../base/clock.ts'
import type { Journal } from '../journal/entries.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { ClientRow, Schema } from '../store/schema.ts'
import type { OurClientMetadata } from './clients.ts'

/** The most registrations of one tenant that were never used; beyond it the oldest of them go. */
export const neverUsedMax = 1000
/** How long a registration may stay without use before it is swept. */
export const neverUsedMs = 24 * 3_600_000
const evictedAtOnceMax = 100

/**
 * What an identical registration is known by, or null for a client with a secret: only the one who registered it may
 * have that, so such a client is made anew each time.
 */
export function registrationDigest(metadata: OurClientMetadata): string | null {
  if (metadata.token_endpoint_auth_method !== 'none') return null
  return createHash('sha256').update(JSON.stringify(metadata)).digest('base64url')
}

/** The living client with the same metadata, its age begun anew; inside the caller's transaction. */
export async function findRegistration(
  { tx, clock, journal }: Needs,
  tenant: Tenant,
  { digest, attempt }: { readonly digest: string | null; readonly attempt: string | undefined },
): Promise<ClientRow | undefined> {
  if (digest === null) return undefined
  const found = await tx
    .updateTable('clients')
    .set({ registered_at: clock.now() })
    .where('tenant_id', '=', tenant.id)
    .where('registration_digest', '=', digest)
    .returningAll()
    .executeTakeFirst()
  if (found === undefined) return undefined
  await journal.record(tx, {
    tenantId: tenant.id,
    type: 'client.registered_again',
    actor: { kind: 'anonymous' },
    subject: { kind: 'client', id: found.id },
    attempt,
  })
  return found
}

interface Needs {
  readonly tx: Database
  readonly clock: Clock
  readonly journal: Journal
}

/** Makes room for one more registration: the never-used ones that were asked for longest ago go. */
export async function makeRoom(
  { tx, clock }: Pick<Needs, 'tx' | 'clock'>,
  tenant: Tenant,
): Promise<void> {
  await tx
    .deleteFrom('clients')
    .where('tenant_id', '=', tenant.id)
    .where('id', 'in', (from) =>
      from
        .selectFrom('clients as old')
        .select('old.id')
        .where('old.tenant_id', '=', tenant.id)
        .where('old.used_at', 'is', null)
        .where('old.registered_at', 'is not', null)
        .where((is) => isIdle(is, clock.now()))
        .orderBy('old.registered_at', 'desc')
        .orderBy('old.id', 'desc')
        .limit(evictedAtOnceMax)
        .offset(neverUsedMax - 1),
    )
    .execute()
}

/** Nobody was let in with the client `old` of the query around, whatever its row says, and nobody is on the way in. */
export function isIdle(is: ExpressionBuilder<OldClients, 'old'>, now: number) {
  const grants = is
    .selectFrom('grants')
    .select('grants.id')
    .whereRef('grants.tenant_id', '=', 'old.tenant_id')
    .whereRef('grants.client_id', '=', 'old.id')
  const requests = is
    .selectFrom('authorization_requests as request')
    .select('request.id')
    .whereRef('request.tenant_id', '=', 'old.tenant_id')
    .whereRef('request.client_id', '=', 'old.id')
    .where('request.expires_at', '>', now)
  const pushed = is
    .selectFrom('pushed_requests as pushed')
    .select('pushed.id')
    .whereRef('pushed.tenant_id', '=', 'old.tenant_id')
    .whereRef('pushed.client_id', '=', 'old.id')
    .where('pushed.expires_at', '>', now)
  const devices = is
    .selectFrom('device_codes as device')
    .select('device.id')
    .whereRef('device.tenant_id', '=', 'old.tenant_id')
    .whereRef('device.client_id', '=', 'old.id')
    .where('device.expires_at', '>', now)
  return is.not(
    is.or([is.exists(grants), is.exists(requests), is.exists(pushed), is.exists(devices)]),
  )
}

type OldClients = Schema & { old: ClientRow }
