// A client that its provider has forgotten shows only on the provider's page, where nobody tells us. When the last sign-in of
// a server went unanswered, its client is forgotten here as well, unless somebody's tokens hang on it: a client too many at
// the provider is less than a server that nobody can ever sign in to (S2-29).
import type { Clock } from '../base/clock.ts'
import type { Database } from '../store/database.ts'
import type { ServerRow } from '../store/schema.ts'
import { readPlan } from '../upstream/flow-plan.ts'
import type { Upstream } from '../upstream/upstream.ts'

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly upstream: Pick<Upstream, 'register'>
}

type ServerKey = Pick<ServerRow, 'tenant_id' | 'id'>

/** Forgets it; at most once for each sign-in that nobody finished. */
export async function forgetStaleClient(
  needs: Needs,
  server: ServerKey,
  issuer: string,
): Promise<void> {
  const plan = await lastUnanswered(needs, server, issuer)
  if (plan?.method !== 'dcr' || (await hasTokens(needs, server))) return
  await needs.upstream.register.forget({ ...plan, tenantId: server.tenant_id })
}

async function lastUnanswered({ db, clock }: Needs, server: ServerKey, issuer: string) {
  const last = await db
    .selectFrom('flows')
    .innerJoin('connections', (join) =>
      join
        .onRef('connections.tenant_id', '=', 'flows.tenant_id')
        .onRef('connections.id', '=', 'flows.connection_id'),
    )
    .select(['flows.plan', 'flows.claimed_at', 'flows.expires_at'])
    .where('connections.tenant_id', '=', server.tenant_id)
    .where('connections.server_id', '=', server.id)
    .where('flows.issuer', '=', issuer)
    .orderBy('flows.created_at', 'desc')
    .limit(1)
    .executeTakeFirst()
  const isUnanswered = last?.claimed_at === null && last.expires_at <= clock.now()
  return isUnanswered ? readPlan(last) : undefined
}

async function hasTokens({ db }: Needs, server: ServerKey): Promise<boolean> {
  const some = await db
    .selectFrom('credentials')
    .innerJoin('connections', (join) =>
      join
        .onRef('connections.tenant_id', '=', 'credentials.tenant_id')
        .onRef('connections.id', '=', 'credentials.connection_id'),
    )
    .select('credentials.connection_id')
    .where('connections.tenant_id', '=', server.tenant_id)
    .where('connections.server_id', '=', server.id)
    .where('credentials.access_token_sealed', '!=', '')
    .limit(1)
    .executeTakeFirst()
  return some !== undefined
}
