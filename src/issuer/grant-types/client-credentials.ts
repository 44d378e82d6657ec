// The client credentials grant (RFC 6749 §4.4): a program that acts for itself. What it may do was decided by the
// administrator who made it, so its grant has no person and is the same one every time.
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { Random } from '../../base/random.ts'
import type { Journal } from '../../journal/entries.ts'
import { formatScope, parseScope } from '../../oauth/scope.ts'
import type { Tenant } from '../../people/tenants.ts'
import type { Database } from '../../store/database.ts'
import { hotQuery } from '../../store/hot-query.ts'
import type { Client } from '../clients.ts'
import { newGrantId, storeGrant } from '../grants.ts'
import { requestedResource } from '../resources.ts'
import type { Resource, Resources } from '../resources.ts'
import { allowedScopes, chooseScopes } from '../scopes.ts'
import type { GrantType } from './grant-type.ts'

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly journal: Journal
  readonly resources: Resources
}

/** Makes the grant type `client_credentials`. */
export function createClientCredentials(needs: Needs): GrantType {
  const { db, clock, random, journal } = needs
  return {
    find: async ({ tenant, client, resources: named }) => {
      requireConfidential(client)
      const asked = await requestedResource(needs.resources, tenant, named)
      const own = {
        userId: undefined,
        clientId: client.id,
        scopes: ownScopes(client, asked),
        resource: asked.resource,
      }
      const known = await findOwnGrant(db, tenant, own)
      const id = known ?? newGrantId(random)
      return {
        grant: { id, ...own },
        generation: 1,
        spend: async (tx) => {
          if (known === undefined) {
            await storeGrant({ tx, clock, random, journal }, tenant, { id, ...own })
          }
          return { kind: 'spent' }
        },
      }
    },
  }
}

/** RFC 6749 §4.4: anybody can be a public client, so it has nothing of its own. */
function requireConfidential({ metadata }: Client): void {
  if (metadata.token_endpoint_auth_method !== 'none') return
  throw new Fault('unauthorized_client', { because: 'a public client cannot act for itself' })
}

/** All that the administrator let it have here; what it asks for is narrowed by the endpoint. */
function ownScopes({ metadata }: Client, { scopes }: Resource): readonly string[] {
  const available = allowedScopes(scopes, parseScope(metadata.scope))
  return chooseScopes([], { usual: available, available })
}

/** The grant of an earlier request for the same; two requests at once may each make one, which harms nobody. */
async function findOwnGrant(
  db: Database,
  tenant: Tenant,
  own: {
    readonly clientId: string
    readonly resource: string
    readonly scopes: readonly string[]
  },
): Promise<string | undefined> {
  const [row] = await findGrant(db, {
    tenantId: tenant.id,
    clientId: own.clientId,
    resource: own.resource,
    scope: formatScope(own.scopes),
  })
  return row?.id
}

type OwnGrant = {
  readonly tenantId: string
  readonly clientId: string
  readonly resource: string
  readonly scope: string
}

const findGrant = hotQuery((db, { tenantId, clientId, resource, scope }: OwnGrant) =>
  db
    .selectFrom('grants')
    .select('id')
    .where('tenant_id', '=', tenantId)
    .where('client_id', '=', clientId)
    .where('user_id', 'is', null)
    .where('resource', '=', resource)
    .where('scope', '=', scope)
    .where('revoked_at', 'is', null)
    .orderBy('created_at')
    .limit(1),
)
