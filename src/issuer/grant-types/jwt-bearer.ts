// The JWT bearer grant (RFC 7523 §2.1) for one kind of assertion, the ID-JAG: an enterprise's identity provider lets a
// client act for a person, without a browser. The administrator decided that by trusting the provider.
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { Random } from '../../base/random.ts'
import { Secret } from '../../base/secret.ts'
import type { Journal } from '../../journal/entries.ts'
import type { Identities } from '../../people/identities.ts'
import type { Tenant } from '../../people/tenants.ts'
import type { Database } from '../../store/database.ts'
import { requireConfidential } from '../clients.ts'
import { requireParameter } from '../form-request.ts'
import { readIdJag, requireStillTrusted } from '../id-jag.ts'
import type { Bearer, IdJag } from '../id-jag.ts'
import type { KeySets } from '../../upstream/key-sets.ts'
import { narrowScopes, requireSameResource } from '../requested-access.ts'
import type { Resources } from '../resources.ts'
import { isStored, storeFirst } from '../signed-assertions.ts'
import { standingGrant, standingScopes } from '../standing-grants.ts'
import type { GrantType } from './grant-type.ts'

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly journal: Journal
  readonly resources: Resources
  readonly keySets: KeySets
  readonly identities: Identities
}

/** Makes the grant type of RFC 7523 for ID-JAGs. */
export function createJwtBearer(needs: Needs): GrantType {
  return {
    find: async ({ tenant, client, parameters, resources }) => {
      requireConfidential(client)
      const assertion = new Secret(requireParameter(parameters, 'assertion'))
      const said = await readIdJag(needs, { tenant, client }, assertion)
      const { resource } = said.resource
      // What the provider allows, the client may have and the resource knows.
      const { scopes, usual } = standingScopes(client, said.resource, said.scopes)
      // Judged here too, because a person may be made next: a request that is refused makes nobody.
      narrowScopes(client, { scopes, usual }, parameters)
      await requireSameResource(needs.resources, { tenant, resource }, resources)
      const userId = await requirePerson(needs, tenant, said)
      const { grant, isGivenAgain, store } = await standingGrant(needs, tenant, {
        userId,
        clientId: client.id,
        scopes,
        resource,
        trustedIssuerId: said.issuer.id,
      })
      return {
        grant,
        isGivenAgain,
        usualScopes: usual,
        generation: 1,
        // EMA §5: the client comes back with another assertion, so that the provider decides again.
        hasNoRefreshToken: true,
        spend: async (tx) => {
          await store(tx, (still) => requireStillTrusted(tx, { tenant, client: still }, said))
          await spend(needs, { tx, tenant, client, userId }, said)
          return { kind: 'spent' }
        },
      }
    },
  }
}

/** The person behind the subject; a new one only where the administrator let the issuer bring people. */
async function requirePerson(
  { db, identities }: Needs,
  tenant: Tenant,
  { issuer, subject, verifiedEmail, id }: IdJag,
): Promise<string> {
  const key = { issuer: issuer.issuer, subject }
  const known = await identities.find(tenant, key)
  if (known !== undefined) return known
  if (!issuer.provisions) throw refused('the subject is nobody here')
  // An assertion that was used says nothing any more, least of all that there is somebody.
  if (await isStored(db, tenant, id)) throw refused('the assertion was used before')
  return identities.findOrCreate(tenant, key, verifiedEmail === undefined ? {} : { verifiedEmail })
}

/** EMA §5: one insert decides who was first; a second use changes nothing. */
async function spend(
  { identities }: Needs,
  { tx, tenant, client, userId }: Bearer & { readonly tx: Database; readonly userId: string },
  { id, issuer, subject, keptUntil }: IdJag,
): Promise<void> {
  const use = { id, clientId: client.id, expiresAt: keptUntil }
  if (!(await storeFirst(tx, tenant, use))) throw refused('the assertion was used before')
  const person = await identities.noteUse(tx, tenant, { issuer: issuer.issuer, subject })
  if (person !== userId) throw refused('the subject is not that person any more')
}

function refused(because: string): Fault {
  return new Fault('invalid_grant', { because })
}
