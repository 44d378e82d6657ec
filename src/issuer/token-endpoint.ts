// The token endpoint (RFC 6749 §3.2) as a row of phases that all grant types share. Everything is checked before
// anything is spent; spending, storing and the journal entry are one transaction.
import { createBoundedMap } from '../base/bounded.ts'
import type { BoundedMap } from '../base/bounded.ts'
import type { Clock } from '../base/clock.ts'
import { Fault, callersFault, isFault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Random } from '../base/random.ts'
import type { Journal } from '../journal/entries.ts'
import type { DpopProof } from '../oauth/dpop.ts'
import type { Parameters } from '../oauth/parameters.ts'
import type { Identities } from '../people/identities.ts'
import type { ProviderGrants } from '../people/provider-grants.ts'
import type { Tenant } from '../people/tenants.ts'
import type { User, Users } from '../people/users.ts'
import type { Database } from '../store/database.ts'
import { hotQuery } from '../store/hot-query.ts'
import type { ClientAssertions } from './client-assertion.ts'
import { authenticateClient, meetClient } from './client-authentication.ts'
import { findClient, requireGrantType } from './clients.ts'
import type { Client } from './clients.ts'
import { dpopNonces } from './dpop-nonces.ts'
import { optionalProof, requireRegisteredProof, spendProof } from './dpop-proofs.ts'
import { readForm, requireParameter } from './form-request.ts'
import type { FormRequest } from './form-request.ts'
import { createAuthorizationCode } from './grant-types/authorization-code.ts'
import { createClientCredentials } from './grant-types/client-credentials.ts'
import { createDeviceCode } from './grant-types/device-code.ts'
import type { GrantType, Presented, Spending } from './grant-types/grant-type.ts'
import { createJwtBearer } from './grant-types/jwt-bearer.ts'
import { createRefreshToken } from './grant-types/refresh-token.ts'
import { createTokenExchange } from './grant-types/token-exchange.ts'
import type { KeySets } from '../upstream/key-sets.ts'
import { endMisusedGrant } from './grants.ts'
import type { Grant } from './grants.ts'
import { deviceCodeGrant, grantTypeNames, jwtBearer, tokenExchange } from './metadata.ts'
import type { GrantTypeName } from './metadata.ts'
import type { Policy } from './policy.ts'
import { narrowScopes, requireSameResource } from './requested-access.ts'
import type { Resource, Resources } from './resources.ts'
import type { SigningKeys } from './signing-keys.ts'
import { mintTokens, storeTokens, tokenAnswer } from './tokens.ts'
import type { MintedTokens, TokenAnswer } from './tokens.ts'

/** Answers one request. Throws a Fault of RFC 6749 §5.2 otherwise. */
export type TokenEndpoint = (
  tenant: Tenant,
  request: FormRequest,
) => Promise<{
  readonly status: 200
  readonly body: TokenAnswer
  /** For the next proof of a client that sent one (RFC 9449 §8.2). */
  readonly dpopNonce?: string
  /** For a code: which attempt to connect got its token here. */
  readonly attempt?: string | undefined
  readonly clientId: string
}>

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
  readonly users: Pick<Users, 'byId'>
  readonly resources: Resources
  readonly policy: Policy
  readonly signingKeys: SigningKeys
  readonly assertions: ClientAssertions
  readonly keySets: KeySets
  readonly identities: Identities
  readonly providerGrants: Pick<ProviderGrants, 'standing'>
  readonly clientFor: (tenant: Tenant, id: string) => Promise<Client>
}

/** Makes the token endpoint with all its grant types. */
export function createTokenEndpoint(needs: Needs): TokenEndpoint {
  const grantTypes: Readonly<Record<GrantTypeName, GrantType>> = {
    authorization_code: createAuthorizationCode(needs),
    refresh_token: createRefreshToken(needs),
    client_credentials: createClientCredentials(needs),
    [deviceCodeGrant]: createDeviceCode(needs),
    [tokenExchange]: createTokenExchange(needs),
    [jwtBearer]: createJwtBearer(needs),
  }

  const issuing = { ...needs, usedAt: createBoundedMap<number>(usesKnownMax) }
  const meetOnce = async (tenant: Tenant, url: string) =>
    (await findClient(needs.db, tenant, url)) ?? needs.clientFor(tenant, url)

  return async (tenant, request) => {
    const startedAt = needs.clock.now()
    const { parameters, resources } = readForm(request)
    const name = readGrantType(parameters)
    const { authorization, dpop, count } = request
    // First of all, because an assertion of the client would be spent by an attempt that fails for its nonce.
    const proof = await optionalProof(needs, tenant, { method: 'POST', path: '/oauth/token', dpop })
    if (name === jwtBearer) await meetClient(meetOnce, tenant, request)
    const client = await authenticateClient(needs, tenant, { authorization, parameters, count })
    requireGrantType(client, name)
    requireRegisteredProof(client, proof)
    const jkt = proof?.jkt
    const asked = { tenant, client, parameters, resources, jkt }
    const presented = await grantTypes[name].find(asked)
    const { grant, signIn, origin } = presented
    if (grant.userId !== undefined) await count?.({ kind: 'grant', id: grant.id })
    const user = await requirePerson(needs.users, tenant, grant)
    const held = { scopes: grant.scopes, usual: presented.usualScopes }
    const scopes = narrowScopes(client, held, parameters)
    const target = { tenant, resource: grant.resource }
    const resource = await requireSameResource(needs.resources, target, resources)
    requireOpen(resource, user)
    const endsAt = await requireProvider(needs, tenant, grant)
    const minted = await mintTokens(needs, {
      tenant,
      client,
      grant,
      scopes,
      jkt,
      format: resource?.tokenFormat ?? 'opaque',
      signIn: signIn && user && { ...signIn, user },
      hasRefreshToken: presented.hasNoRefreshToken !== true,
      origin,
      endsAt,
    })
    const facts = { tenant, client, name, proof, startedAt }
    const body = await issue(issuing, facts, presented, minted)
    const dpopNonce = proof === undefined ? {} : { dpopNonce: dpopNonces(needs, tenant).current() }
    return { status: 200, body, attempt: presented.attempt, clientId: client.id, ...dpopNonce }
  }
}

function readGrantType(parameters: Parameters): GrantTypeName {
  const asked = requireParameter(parameters, 'grant_type')
  const name = grantTypeNames.find((known) => known === asked)
  if (name !== undefined) return name
  throw callersFault('unsupported_grant_type', 'there is no such grant type here')
}

/** The person, if the grant has one; they may be gone or disabled since they agreed (P-109). */
async function requirePerson(
  users: Needs['users'],
  tenant: Tenant,
  { userId }: Grant,
): Promise<User | undefined> {
  if (userId === undefined) return undefined
  const user = await users.byId(tenant, userId)
  if (user !== undefined) return user
  throw new Fault('invalid_grant', { because: 'the person of the grant is disabled' })
}

/**
 * What a grant hangs on has to stand too (A4-9): gives when that ends, if it is known. Throws Fault('invalid_grant'), or
 * Fault('temporarily_unavailable') when the provider cannot be asked.
 */
async function requireProvider(
  { providerGrants }: Pick<Needs, 'providerGrants'>,
  tenant: Tenant,
  { providerGrantId }: Grant,
): Promise<number | undefined> {
  if (providerGrantId === undefined) return undefined
  const standing = await providerGrants.standing(tenant, providerGrantId)
  if (standing.kind === 'standing') return standing.endsAt
  throw new Fault('invalid_grant', { because: 'the sign-in at the provider has ended' })
}

/** Who may use a server is asked before anything is spent: what was presented works again when they may. */
function requireOpen(resource: Resource | undefined, user: User | undefined): void {
  if (user === undefined || resource?.isOpenTo?.(user) !== false) return
  throw new Fault('invalid_grant', { because: 'the person may not use the server any more' })
}

interface Requester {
  readonly tenant: Tenant
  readonly client: Client
  readonly name: GrantTypeName
  readonly proof: DpopProof | undefined
  readonly startedAt: number
}

/** What giving tokens out needs besides: when which grant was last noted as used, as far as this process knows. */
interface Issuing extends Needs {
  readonly usedAt: BoundedMap<number>
}

const usesKnownMax = 10_000

async function issue(
  needs: Issuing,
  requester: Requester,
  presented: Presented,
  minted: MintedTokens,
): Promise<TokenAnswer> {
  const { scopes } = minted
  const answer = tokenAnswer(minted, needs.clock.now())
  const { tenant, client, proof } = requester
  const { grant, generation } = presented
  const issuing = needs.db.transaction().execute(async (tx) => {
    if (proof !== undefined) await spendProof(tx, tenant, proof)
    const outcome = await presented.spend(tx, answer)
    if (outcome.kind === 'spent') {
      const owner = { tenant, clientId: client.id, grant, generation }
      await storeTokens({ ...needs, tx }, minted, owner)
    }
    if (outcome.kind === 'spent' || outcome.kind === 'repeated') {
      const given = { ...grant, scopes, attempt: presented.attempt }
      if (presented.isGivenAgain === true) await noteUse({ ...needs, tx }, tenant, grant)
      await recordAnswer({ ...needs, tx }, requester, given, outcome.kind)
    }
    return outcome
  })
  const spending = await issuing.catch(async (thrown: unknown) => {
    if (!isFault(thrown)) await requireStillThere(needs, requester, thrown)
    throw thrown
  })
  return conclude(needs, { requester, grant }, spending, answer)
}

const entryTypes = {
  authorization_code: 'token.issued',
  refresh_token: 'token.refreshed',
  client_credentials: 'token.issued',
  [deviceCodeGrant]: 'token.issued',
  [tokenExchange]: 'token.exchanged',
  [jwtBearer]: 'token.issued',
} as const

async function recordAnswer(
  { tx, clock, journal }: Pick<Needs, 'clock' | 'journal'> & { readonly tx: Database },
  { tenant, client, name, startedAt }: Requester,
  grant: Grant & { readonly attempt: string | undefined },
  kind: 'spent' | 'repeated',
): Promise<void> {
  await journal.record(tx, {
    tenantId: tenant.id,
    type: kind === 'spent' ? entryTypes[name] : 'token.replayed',
    actor: { kind: 'client', id: client.id },
    ...(grant.userId === undefined ? {} : { userId: grant.userId }),
    subject: { kind: 'grant', id: grant.id },
    attempt: grant.attempt,
    data: {
      clientId: client.id,
      resource: grant.resource,
      scopes: grant.scopes,
      ...(grant.parentId === undefined ? {} : { parentGrantId: grant.parentId }),
      durationMs: clock.now() - startedAt,
    },
  })
}

// A program that asks all the time is noted once a second: a row that changes with every token is dear to read.
async function noteUse(
  { tx, clock, usedAt }: Pick<Issuing, 'clock' | 'usedAt'> & { readonly tx: Database },
  { id: tenantId }: Tenant,
  { id: grantId }: Grant,
): Promise<void> {
  const now = clock.now()
  const before = now - notedEveryMs
  // Most of the time it is known here, and the statement is not even asked.
  if ((usedAt.get(grantId) ?? 0) > before) return
  await noteAnswer(tx, { tenantId, grantId, now, before })
  usedAt.set(grantId, now)
}

type Answered = {
  readonly tenantId: string
  readonly grantId: string
  readonly now: number
  readonly before: number
}

const notedEveryMs = 1_000

const noteAnswer = hotQuery((db, { tenantId, grantId, now, before }: Answered) =>
  db
    .updateTable('grants')
    .set({ last_used_at: now })
    .where('tenant_id', '=', tenantId)
    .where('id', '=', grantId)
    .where((is) => is.or([is('last_used_at', 'is', null), is('last_used_at', '<=', before)])),
)

async function conclude(
  needs: Needs,
  { requester, grant }: { readonly requester: Requester; readonly grant: Grant },
  spending: Spending,
  answer: TokenAnswer,
): Promise<TokenAnswer> {
  switch (spending.kind) {
    case 'spent':
      return answer
    case 'repeated':
      return spending.answer
    case 'expired':
      await requireStillThere(needs, requester)
      throw new Fault('invalid_grant', { because: 'what was presented has expired' })
    case 'misused': {
      await requireStillThere(needs, requester)
      const { tenant, client } = requester
      const { reason } = spending
      await endMisusedGrant(needs, tenant, { grantId: grant.id, clientId: client.id, reason })
      throw new Fault('invalid_grant', { because: 'what was presented was used before' })
    }
  }
}

/** A client that went in the middle took its grants along: that is no failure of ours, and nobody's misuse. */
async function requireStillThere(
  { db }: Needs,
  { tenant, client }: Requester,
  cause?: unknown,
): Promise<void> {
  if ((await findClient(db, tenant, client.id)) !== undefined) return
  throw new Fault('invalid_client', { because: 'the client went at the same moment', cause })
}
