// Authorization codes: made once, spent once, within a minute (RFC 6749 §4.1.2). Bound to client, redirect URI,
// challenge, and through their grant to person, scopes and resource.
import type { Clock } from '../base/clock.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Secret } from '../base/secret.ts'
import type { Tenant } from '../people/tenants.ts'
import { claimOnce } from '../store/claim.ts'
import type { Database } from '../store/database.ts'
import type { AuthorizationRequestRow } from '../store/schema.ts'
import type { Policy } from './policy.ts'

/** Stores a new code inside the caller's transaction. */
export async function storeCode(
  needs: {
    readonly tx: Database
    readonly clock: Clock
    readonly keyring: Keyring
    readonly policy: Policy
  },
  code: Secret,
  { request, grantId }: { readonly request: AuthorizationRequestRow; readonly grantId: string },
): Promise<void> {
  const now = needs.clock.now()
  await needs.tx
    .insertInto('codes')
    .values({
      tenant_id: request.tenant_id,
      code_digest: needs.keyring.digest('code', code),
      grant_id: grantId,
      client_id: request.client_id,
      redirect_uri: request.redirect_uri,
      code_challenge: request.code_challenge,
      created_at: now,
      expires_at: now + needs.policy.codeLifetimeMs,
      claimed_at: null,
      nonce: request.nonce,
      dpop_jkt: request.dpop_jkt,
    })
    .execute()
}

/** A code with its grant, spent or not; undefined for one that we never made or have swept. */
export function findCode(
  { db, keyring }: { readonly db: Database; readonly keyring: Keyring },
  tenant: Tenant,
  code: Secret,
) {
  return db
    .selectFrom('codes')
    .innerJoin('grants', (join) =>
      join
        .onRef('grants.tenant_id', '=', 'codes.tenant_id')
        .onRef('grants.id', '=', 'codes.grant_id'),
    )
    .selectAll('codes')
    .select(['grants.user_id', 'grants.scope', 'grants.resource', 'grants.revoked_at'])
    .select(['grants.attempt', 'grants.provider_grant_id'])
    .where('codes.tenant_id', '=', tenant.id)
    .where('codes.code_digest', 'in', keyring.digests('code', code))
    .executeTakeFirst()
}

/** Spends a code; false when it was spent before or has expired. */
export async function spendCode(
  { tx, clock }: { readonly tx: Database; readonly clock: Clock },
  tenant: Tenant,
  codeDigest: string,
): Promise<boolean> {
  const key = { tenant_id: tenant.id, code_digest: codeDigest }
  return (await claimOnce(tx, 'codes', key, clock.now())) !== undefined
}
