// The client credentials grant (RFC 6749 §4.4): a program that acts for itself. What it may do was decided by the
// administrator who made it, so its grant has no person and is the same one every time.
import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import type { Journal } from '../../journal/entries.ts'
import type { Database } from '../../store/database.ts'
import { requireConfidential } from '../clients.ts'
import { requestedResource } from '../resources.ts'
import type { Resources } from '../resources.ts'
import { standingGrant, standingScopes } from '../standing-grants.ts'
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
  return {
    find: async ({ tenant, client, resources: named }) => {
      requireConfidential(client)
      const asked = await requestedResource(needs.resources, tenant, named)
      // All that the administrator let it have here; what it asks for is narrowed by the endpoint.
      const { scopes, usual } = standingScopes(client, asked)
      const { grant, isGivenAgain, store } = await standingGrant(needs, tenant, {
        userId: undefined,
        clientId: client.id,
        scopes,
        resource: asked.resource,
      })
      return {
        grant,
        isGivenAgain,
        usualScopes: usual,
        generation: 1,
        spend: async (tx) => {
          await store(tx)
          return { kind: 'spent' }
        },
      }
    },
  }
}
