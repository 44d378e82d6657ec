// What every assertion has in common, a client's about itself or an issuer's about a person: that it counts once (RFC 7523
// §3). Its signature is verified in upstream/verify-signed.ts; what its claims must say is decided by those who take it.
import { createHash } from 'node:crypto'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'

/** What an assertion is kept by: never its text, and nothing that two signers could both make. */
export function assertionIdOf(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url')
}

/** Says whether an assertion was used already; only `storeFirst` decides it. */
export async function isStored(db: Database, tenant: Tenant, id: string): Promise<boolean> {
  const row = await db
    .selectFrom('client_assertions')
    .select('assertion_id')
    .where('tenant_id', '=', tenant.id)
    .where('assertion_id', '=', id)
    .executeTakeFirst()
  return row !== undefined
}

/** RFC 7523 §3: one insert decides who was first. */
export async function storeFirst(
  db: Database,
  tenant: Tenant,
  use: { readonly id: string; readonly clientId: string; readonly expiresAt: number },
): Promise<boolean> {
  const stored = await db
    .insertInto('client_assertions')
    .values({
      tenant_id: tenant.id,
      assertion_id: use.id,
      client_id: use.clientId,
      expires_at: use.expiresAt,
    })
    .onConflict((conflict) => conflict.columns(['tenant_id', 'assertion_id']).doNothing())
    .returning('assertion_id')
    .executeTakeFirst()
  return stored !== undefined
}
