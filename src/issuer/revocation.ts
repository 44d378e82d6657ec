// The revocation endpoint (RFC 7009): an access token ends alone, a refresh token ends its grant. The hint is not needed
// and hence ignored (§2.1).
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import { Secret } from '../base/secret.ts'
import type { Actor, Journal } from '../journal/entries.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { ClientAssertions } from './client-assertion.ts'
import { authenticateClient } from './client-authentication.ts'
import type { Client } from './clients.ts'
import { readForm, requireParameter } from './form-request.ts'
import type { FormRequest } from './form-request.ts'
import { findRefreshToken } from './grant-types/refresh-token.ts'
import { endGrant } from './grants.ts'

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly keyring: Keyring
  readonly journal: Journal
  readonly assertions: ClientAssertions
}

/** Ends the token of an authenticated client; an unknown one is fine (RFC 7009 §2.2), a foreign one is refused (§2.1). */
export async function revokeToken(
  needs: Needs,
  tenant: Tenant,
  request: FormRequest,
): Promise<void> {
  const { parameters } = readForm(request)
  const { authorization, count } = request
  const client = await authenticateClient(needs, tenant, { authorization, parameters, count })
  const token = new Secret(requireParameter(parameters, 'token'))
  const found = await findToken(needs, tenant, token)
  if (found === undefined) return
  if (found.clientId !== client.id) {
    throw new Fault('unauthorized_client', { because: 'the token was made for another client' })
  }
  await endToken(needs, { tenant, client }, found)
}

type FoundToken =
  | { readonly kind: 'access'; readonly digest: string; readonly clientId: string }
  | { readonly kind: 'refresh'; readonly grantId: string; readonly clientId: string }

async function findToken(
  { db, keyring }: Needs,
  tenant: Tenant,
  token: Secret,
): Promise<FoundToken | undefined> {
  const access = await db
    .selectFrom('access_tokens')
    .select(['token_digest', 'client_id'])
    .where('tenant_id', '=', tenant.id)
    .where('token_digest', 'in', keyring.digests('access_token', token))
    .executeTakeFirst()
  if (access !== undefined) {
    return { kind: 'access', digest: access.token_digest, clientId: access.client_id }
  }
  const refresh = await findRefreshToken({ db, keyring }, tenant, token)
  return refresh && { kind: 'refresh', grantId: refresh.grant_id, clientId: refresh.client_id }
}

async function endToken(
  { db, clock, journal }: Needs,
  { tenant, client }: { readonly tenant: Tenant; readonly client: Client },
  found: FoundToken,
): Promise<void> {
  const actor = { kind: 'client', id: client.id } as const
  await db.transaction().execute(async (tx) => {
    if (found.kind === 'refresh') {
      const facts = { grantId: found.grantId, reason: 'client', actor } as const
      await endGrant({ tx, clock, journal }, tenant, facts)
      return
    }
    await endAccessToken({ tx, clock, journal }, tenant, { digests: [found.digest], actor })
  })
}

/** Ends one access token inside the caller's transaction; false when it had ended before. */
export async function endAccessToken(
  { tx, clock, journal }: Pick<Needs, 'clock' | 'journal'> & { readonly tx: Database },
  tenant: Tenant,
  { digests, actor }: { readonly digests: readonly string[]; readonly actor: Actor },
): Promise<boolean> {
  const ended = await tx
    .updateTable('access_tokens')
    .set({ revoked_at: clock.now() })
    .where('tenant_id', '=', tenant.id)
    .where('token_digest', 'in', digests)
    .where('revoked_at', 'is', null)
    .returning(['grant_id', 'user_id', 'client_id'])
    .executeTakeFirst()
  if (ended === undefined) return false
  await journal.record(tx, {
    tenantId: tenant.id,
    type: 'token.revoked',
    actor,
    ...(ended.user_id === null ? {} : { userId: ended.user_id }),
    subject: { kind: 'grant', id: ended.grant_id },
    data: { clientId: ended.client_id },
  })
  return true
}
