// What an app notes about its calls through a connection: why one failed, until one succeeds.
import type { Clock } from '../base/clock.ts'
import { scrub } from '../base/log.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'

const errorCharsMax = 1000

interface Needs {
  readonly db: Database
  readonly clock: Clock
}

interface Which {
  readonly tenant: Tenant
  readonly userId: string
  readonly connectionId: string
}

/**
 * Notes the last error of a connection of this person, without what looks like a secret and at most 1000 characters, or
 * that there is none any more. A connection that waits for its person says that instead, and keeps saying it.
 */
export async function noteTrouble(
  { db, clock }: Needs,
  { tenant, userId, connectionId }: Which,
  error: string | undefined,
): Promise<void> {
  // It may be a server's own words, and Postgres keeps no NUL.
  const words =
    error === undefined ? null : scrub(error.replaceAll('\0', '')).slice(0, errorCharsMax)
  await db
    .updateTable('connections')
    .set({ last_error: words, updated_at: clock.now() })
    .where('tenant_id', '=', tenant.id)
    .where('user_id', '=', userId)
    .where('id', '=', connectionId)
    .where('status', '!=', 'reauth_required')
    .where((is) => (words === null ? is('last_error', 'is not', null) : is.lit(true)))
    .execute()
}
