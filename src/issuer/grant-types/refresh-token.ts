// The refresh token grant (RFC 6749 §6) with rotation (RFC 9700 §4.14.2). The family of a token is its grant. A spent
// token returns the answer it was spent for, for a short while, because answers get lost on the way; then it is misuse.
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { openUnder, sealUnder } from '../../base/keyring.ts'
import type { Keyring } from '../../base/keyring.ts'
import type { Random } from '../../base/random.ts'
import { Secret } from '../../base/secret.ts'
import { parseScope } from '../../oauth/scope.ts'
import type { Tenant } from '../../people/tenants.ts'
import type { Database } from '../../store/database.ts'
import { hotQuery } from '../../store/hot-query.ts'
import type { Client } from '../clients.ts'
import { requireKey } from '../dpop-proofs.ts'
import { requireParameter } from '../form-request.ts'
import type { Policy } from '../policy.ts'
import type { TokenAnswer } from '../tokens.ts'
import type { GrantType, Spending } from './grant-type.ts'

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly policy: Policy
}

const replayPurpose = 'refresh_replay'

/** Makes the grant type `refresh_token`. */
export function createRefreshToken(needs: Needs): GrantType {
  return {
    find: async ({ tenant, client, parameters, jkt }) => {
      const token = new Secret(requireParameter(parameters, 'refresh_token'))
      const found = await findRefreshToken(needs, tenant, token)
      if (found === undefined) throw refused('there is no such refresh token')
      if (found.client_id !== client.id) throw refused('the token was made for another client')
      if (found.revoked_at !== null) throw refused('the grant of the token has ended')
      requireSameKey(client, found, jkt)
      return {
        grant: {
          id: found.grant_id,
          userId: found.user_id ?? undefined,
          scopes: parseScope(found.scope),
          resource: found.resource,
          providerGrantId: found.provider_grant_id ?? undefined,
        },
        isGivenAgain: true,
        generation: found.generation + 1,
        spend: (tx, answer) => spend(needs, { tx, tenant, token, found }, answer),
      }
    },
  }
}

/**
 * RFC 9449 §5: a public client refreshes with the key it began with. One that proves itself may change its key, but what
 * was bound stays bound.
 */
function requireSameKey(
  { metadata }: Client,
  { jkt: bound }: FoundToken,
  jkt: string | undefined,
): void {
  const isPublic = metadata.token_endpoint_auth_method === 'none'
  if (isPublic || jkt === undefined) requireKey(bound, jkt)
}

/** A refresh token with its grant, spent or not. */
export async function findRefreshToken(
  { db, keyring }: { readonly db: Database; readonly keyring: Keyring },
  tenant: Tenant,
  token: Secret,
): Promise<FoundToken | undefined> {
  const digests = keyring.digests('refresh_token', token)
  const [found] = await findByDigest(db, { tenantId: tenant.id, digests })
  return found
}

type FoundToken = Awaited<ReturnType<typeof findByDigest>>[number]
type TokenPlace = { readonly tenantId: string; readonly digests: readonly string[] }

const findByDigest = hotQuery((db, { tenantId, digests }: TokenPlace) =>
  db
    .selectFrom('refresh_tokens')
    .innerJoin('grants', (join) =>
      join
        .onRef('grants.tenant_id', '=', 'refresh_tokens.tenant_id')
        .onRef('grants.id', '=', 'refresh_tokens.grant_id'),
    )
    .select(['refresh_tokens.token_digest', 'refresh_tokens.grant_id'])
    .select(['refresh_tokens.client_id', 'refresh_tokens.generation', 'refresh_tokens.jkt'])
    .select(['grants.user_id', 'grants.scope', 'grants.resource', 'grants.revoked_at'])
    .select(['grants.attempt', 'grants.provider_grant_id'])
    .where('refresh_tokens.tenant_id', '=', tenantId)
    .where('refresh_tokens.token_digest', 'in', digests),
)

interface Attempt {
  readonly tx: Database
  readonly tenant: Tenant
  readonly token: Secret
  readonly found: FoundToken
}

/** One statement spends the token and keeps the answer, sealed so that only who holds the old token can open it. */
async function spend(needs: Needs, attempt: Attempt, answer: TokenAnswer): Promise<Spending> {
  const { clock, random, policy } = needs
  const { tx, tenant, token, found } = attempt
  const now = clock.now()
  const [spent] = await claim(tx, {
    tenantId: tenant.id,
    digest: found.token_digest,
    now,
    answer: sealUnder(token, JSON.stringify(answer), replayPurpose, random),
    until: now + policy.replayWindowMs,
  })
  return spent === undefined ? whyNotSpent(attempt, now) : { kind: 'spent' }
}

type Claim = {
  readonly tenantId: string
  readonly digest: string
  readonly now: number
  readonly answer: string
  readonly until: number
}

const claim = hotQuery((db, { tenantId, digest, now, answer, until }: Claim) =>
  db
    .updateTable('refresh_tokens')
    .set({ claimed_at: now, replay_sealed: answer, replay_until: until })
    .where('tenant_id', '=', tenantId)
    .where('token_digest', '=', digest)
    .where('claimed_at', 'is', null)
    .where('expires_at', '>', now)
    .returning('token_digest'),
)

async function whyNotSpent({ tx, tenant, token, found }: Attempt, now: number): Promise<Spending> {
  const family = await tx
    .selectFrom('refresh_tokens')
    .select(['generation', 'claimed_at', 'replay_sealed', 'replay_until'])
    .where('tenant_id', '=', tenant.id)
    .where('grant_id', '=', found.grant_id)
    .where('generation', 'in', [found.generation, found.generation + 1])
    .execute()
  const own = family.find(({ generation }) => generation === found.generation)
  const successor = family.find(({ generation }) => generation === found.generation + 1)
  if (own === undefined || own.claimed_at === null) return { kind: 'expired' }
  // A successor that was used has arrived: nobody honest needs the old answer any more.
  const mayRepeat = (own.replay_until ?? 0) > now && successor?.claimed_at === null
  const sealed = mayRepeat ? own.replay_sealed : null
  const opened = sealed === null ? undefined : openUnder(token, sealed, replayPurpose)
  if (opened === undefined) return { kind: 'misused', reason: 'refresh_token_reused' }
  return { kind: 'repeated', answer: JSON.parse(opened.reveal()) as TokenAnswer } // only spend() seals it
}

function refused(because: string): Fault {
  return new Fault('invalid_grant', { because })
}
