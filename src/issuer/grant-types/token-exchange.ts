// The token exchange (RFC 8693): a resource server that was called with a token of ours gets a narrower one for another
// resource, to call on for the same person. Who may reach what was decided by the administrator who made the client.
import type { Clock } from '../../base/clock.ts'
import { Fault, callersFault } from '../../base/fault.ts'
import type { Keyring } from '../../base/keyring.ts'
import type { Random } from '../../base/random.ts'
import { Secret } from '../../base/secret.ts'
import type { Journal } from '../../journal/entries.ts'
import type { Parameters } from '../../oauth/parameters.ts'
import { sameResource } from '../../oauth/resource.ts'
import { parseScope } from '../../oauth/scope.ts'
import type { Tenant } from '../../people/tenants.ts'
import type { Database } from '../../store/database.ts'
import { requireConfidential } from '../clients.ts'
import type { Client } from '../clients.ts'
import { requireParameter } from '../form-request.ts'
import { mayKnow } from '../introspection.ts'
import { namedResource } from '../resources.ts'
import type { Resource, Resources } from '../resources.ts'
import { standingGrant, standingScopes } from '../standing-grants.ts'
import { accessTokenType } from '../tokens.ts'
import { actorsOf, findLiveToken } from '../verify.ts'
import type { LiveToken } from '../verify.ts'
import type { GrantRequest, GrantType } from './grant-type.ts'

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
  readonly resources: Resources
}

/** How often a token may be passed on: from the one that a person gave, three times. */
export const exchangesMax = 3

/** Makes the grant type of RFC 8693. */
export function createTokenExchange(needs: Needs): GrantType {
  return {
    find: async (request) => {
      const { tenant, client, parameters } = request
      requireConfidential(client)
      requireOurTypes(parameters)
      const subject = await requireSubject(needs, request)
      await requireOwnActor(needs, request)
      const target = await requireTarget(needs, request, subject)
      // What the token has, the client may have and the resource knows; the endpoint narrows it to what is asked for.
      const { scopes } = standingScopes(client, target, parseScope(subject.scope))
      const { grant, isGivenAgain, store } = await standingGrant(needs, tenant, {
        userId: subject.user_id ?? undefined,
        clientId: client.id,
        scopes,
        resource: target.resource,
        parentId: subject.grant_id,
      })
      return {
        grant,
        isGivenAgain,
        generation: 1,
        hasNoRefreshToken: true,
        origin: {
          parentDigest: subject.token_digest,
          expiresAt: subject.expires_at,
          actors: [client.id, ...actorsOf(subject)],
        },
        spend: async (tx) => {
          await store(tx, (still) => requireReach(still, target))
          return { kind: 'spent' }
        },
      }
    },
  }
}

/** RFC 8693 §2.1: access tokens for access tokens; a type without a token, or the other way round, is wrong. */
function requireOurTypes(parameters: Parameters): void {
  const requested = parameters.get('requested_token_type') ?? accessTokenType
  const actorType = parameters.get('actor_token_type')
  const hasActor = parameters.has('actor_token')
  requireParameter(parameters, 'subject_token')
  const isOurs =
    requireParameter(parameters, 'subject_token_type') === accessTokenType &&
    requested === accessTokenType &&
    actorType === (hasActor ? accessTokenType : undefined)
  if (!isOurs) throw callersFault('invalid_request', 'a type of token is not supported or not said')
}

/** A living token of a person that came to this client: made for it, or for the resource that it serves. */
async function requireSubject(
  needs: Needs,
  { tenant, client, parameters, jkt }: GrantRequest,
): Promise<LiveToken> {
  const token = new Secret(requireParameter(parameters, 'subject_token'))
  const live = await findLiveToken(needs, tenant, token)
  if (live === undefined) throw refused('the subject token is not a living token of ours')
  if (!mayKnow(client, live)) throw refused('the subject token was not made for this client')
  // RFC 9449: what is bound must not become what anybody can use who finds it; the new key is the client's own.
  if (live.jkt !== null && jkt === undefined) {
    throw new Fault('invalid_dpop_proof', { because: 'the subject token is bound to a key' })
  }
  if (live.user_id === null) throw refused('the subject token is of a client that acts for itself')
  if (actorsOf(live).length >= exchangesMax) throw refused('it was exchanged too often')
  return live
}

/** Who acts is who asks: an actor token may only say that again (RFC 8693 §1.1). */
async function requireOwnActor(
  needs: Needs,
  { tenant, client, parameters }: GrantRequest,
): Promise<void> {
  const text = parameters.get('actor_token')
  if (text === undefined) return
  const live = await findLiveToken(needs, tenant, new Secret(text))
  if (live?.client_id === client.id && live.user_id === null) return
  throw refused('the actor token is not one of the client itself')
}

/** The resource named by `resource` or `audience`, else that of the subject token; the client must be let reach it. */
async function requireTarget(
  { db, resources }: Needs,
  { tenant, client, parameters, resources: named }: GrantRequest,
  subject: LiveToken,
): Promise<Resource> {
  const audience = parameters.get('audience')
  const values = audience === undefined ? named : [...named, audience]
  const target =
    (await namedResource(resources, tenant, values)) ??
    (await resources.find(tenant, subject.resource))
  requireReach(client, target)
  if (await wasTakenBack(db, tenant, { client, subject, target })) {
    throw outOfReach('the person has taken this access back')
  }
  return target
}

function requireReach({ metadata }: Client, target: Resource | undefined): asserts target {
  const reached = metadata.may_reach ?? []
  if (target !== undefined && reached.some((one) => sameResource(one, target.resource))) return
  throw outOfReach('the client was not let reach this resource')
}

/** What a person took back stays taken back for as long as the grant lives that it came from. */
async function wasTakenBack(
  db: Database,
  tenant: Tenant,
  {
    client,
    subject,
    target,
  }: { readonly client: Client; readonly subject: LiveToken; readonly target: Resource },
): Promise<boolean> {
  const row = await db
    .selectFrom('grants')
    .select('id')
    .where('tenant_id', '=', tenant.id)
    .where('parent_grant_id', '=', subject.grant_id)
    .where('client_id', '=', client.id)
    .where('resource', '=', target.resource)
    .where('revoke_reason', '=', 'user')
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}

// RFC 8693 §2.2.2: a token that is not good enough, for whatever reason, makes the request invalid.
function refused(because: string): Fault {
  return new Fault('invalid_request', { because })
}

function outOfReach(because: string): Fault {
  return new Fault('invalid_target', { because })
}
