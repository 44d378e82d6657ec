// What a client loses at once that an administrator narrows: everything that it got while it might have more. It happens in
// the transaction of the change, so that verification need not ask what a client may have.
import type { Clock } from '../base/clock.ts'
import type { Journal } from '../journal/entries.ts'
import { sameResource } from '../oauth/resource.ts'
import { isSubset, parseScope } from '../oauth/scope.ts'
import type { Database } from '../store/database.ts'
import { actorOf } from './administrator.ts'
import type { ClientMaker } from './administrator.ts'
import { endGrants } from './grants.ts'
import { allowedScopes } from './scopes.ts'

interface Needs {
  readonly clock: Clock
  readonly journal: Journal
}

/** Whose client is narrowed, inside the caller's transaction. */
interface Narrowed {
  readonly tx: Database
  readonly by: ClientMaker
  readonly id: string
}

/** Ends what the client got by exchange for resources that are not in the list. */
export async function endOutOfReach(
  needs: Needs,
  { tx, by, id }: Narrowed,
  mayReach: readonly string[],
): Promise<void> {
  const rows = await tx
    .selectFrom('grants')
    .select('resource')
    .distinct()
    .where('tenant_id', '=', by.tenant.id)
    .where('client_id', '=', id)
    .where('parent_grant_id', 'is not', null)
    .where('revoked_at', 'is', null)
    .execute()
  // By the rule by which a client is let reach a resource.
  const isReached = (resource: string) => mayReach.some((one) => sameResource(one, resource))
  const out = rows.flatMap(({ resource }) => (isReached(resource) ? [] : [resource]))
  if (out.length === 0) return
  const facts = { reason: 'reach_ended', actor: actorOf(by, 'manual') } as const
  await endGrants({ ...needs, tx }, by.tenant, facts, (some) =>
    some
      .where('client_id', '=', id)
      .where('parent_grant_id', 'is not', null)
      .where('resource', 'in', out),
  )
}

/** Ends the access tokens with a scope that is not in the list, which is none for all; the grants live on. */
export async function endTooWide(
  { clock }: Pick<Needs, 'clock'>,
  { tx, by, id }: Narrowed,
  scopes: readonly string[],
): Promise<void> {
  const tenantId = by.tenant.id
  const now = clock.now()
  const ofClient = tx
    .selectFrom('grants')
    .select('id')
    .where('tenant_id', '=', tenantId)
    .where('client_id', '=', id)
  const living = await tx
    .selectFrom('access_tokens')
    .select('scope')
    .distinct()
    .where('tenant_id', '=', tenantId)
    .where('grant_id', 'in', ofClient)
    .where('expires_at', '>', now)
    .where('revoked_at', 'is', null)
    .execute()
  const tooWide = living.flatMap(({ scope }) => (isAllowed(scope, scopes) ? [] : [scope]))
  if (tooWide.length === 0) return
  // As many as there are ways to choose among the scopes of a resource that were really chosen: few.
  await tx
    .updateTable('access_tokens')
    .set({ revoked_at: now })
    .where('tenant_id', '=', tenantId)
    .where('grant_id', 'in', ofClient)
    .where('scope', 'in', tooWide)
    .where('revoked_at', 'is', null)
    .execute()
}

function isAllowed(scope: string, scopes: readonly string[]): boolean {
  const held = parseScope(scope)
  return isSubset(held, allowedScopes(held, scopes))
}
