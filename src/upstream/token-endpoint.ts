// Somebody else's token and revocation endpoints (RFC 6749 §4.1.3 and §6, RFC 7009): what is sent, and what the answer
// means. When to call, and what to keep, is decided by flows.ts and refresh.ts.
import type { Clock } from '../base/clock.ts'
import { Fault, isFault } from '../base/fault.ts'
import type { FaultCode } from '../base/fault.ts'
import type { Outbound, OutboundRequest, OutboundResponse } from '../base/outbound.ts'
import type { Random } from '../base/random.ts'
import { Secret } from '../base/secret.ts'
import { formatScope } from '../oauth/scope.ts'
import { asObject } from '../oauth/shapes.ts'
import { isTokenError, readTokenError, readTokenResponse } from '../oauth/token-response.ts'
import type { TokenSet as AnsweredTokens, UsableTypes } from '../oauth/token-response.ts'
import { ownRefusal, requestedAccess, resourceParameter, usualAnswer } from './adapt.ts'
import { assertionType, createClientAssertion } from './client-assertion.ts'
import { atOthersAddress } from './others-addresses.ts'
import type { ProofOfKey, Proofs } from './proofs.ts'
import type { TokenRefusal } from './quirks.ts'
import type { Registration } from './register.ts'

/** Tokens, with the key that they are bound to. */
export interface TokenSet extends AnsweredTokens {
  readonly proofKey?: Secret
}

/** What came of asking for tokens. */
export type TokenAnswer =
  | { readonly kind: 'tokens'; readonly tokens: TokenSet; readonly status: number }
  | {
      readonly kind: 'refused'
      readonly refusal: TokenRefusal
      readonly fault: Fault
      /** Absent when there was no answer. */
      readonly status?: number
    }

type Refused = Extract<TokenAnswer, { kind: 'refused' }>

/** What came of asking an identity provider for its word. */
export type AssertionAnswer = { readonly kind: 'assertion'; readonly assertion: Secret } | Refused

/** Where and as whom. */
export interface TokenPlace {
  readonly tokenEndpoint: string
  readonly registration: Registration
  /** RFC 8707: sent to everybody who takes it. */
  readonly resource: string
  /** The key that the tokens are to be bound to (RFC 9449 §5). */
  readonly proof?: ProofOfKey | undefined
}

export interface TokenEndpoint {
  readonly exchangeCode: (
    place: TokenPlace,
    code: { readonly code: Secret; readonly verifier: Secret },
  ) => Promise<TokenAnswer>
  readonly refreshTokens: (place: TokenPlace, refreshToken: Secret) => Promise<TokenAnswer>
  /** RFC 6749 §4.4: for ourselves, with nobody behind it. */
  readonly useOwnCredential: (place: TokenPlace, scopes: readonly string[]) => Promise<TokenAnswer>
  /** RFC 7523 §2.1: with what somebody else says of us, or of a person. */
  readonly presentAssertion: (
    place: TokenPlace,
    wish: { readonly assertion: Secret; readonly scopes: readonly string[] },
  ) => Promise<TokenAnswer>
  /** RFC 8693 §2.1: at an identity provider, for a word of it that is for one authorization server (ID-JAG). */
  readonly requestIdJag: (
    place: TokenPlace,
    wish: {
      readonly subjectToken: Secret
      readonly audience: string
      readonly scopes: readonly string[]
    },
  ) => Promise<AssertionAnswer>
  /**
   * RFC 7009. Says whether the server took it, refused it for good, or may take it later (§2.2.1); a failure of the world is
   * never thrown, because what is ours is gone already.
   */
  readonly revokeToken: (
    place: { readonly revocationEndpoint: string; readonly registration: Registration },
    token: { readonly token: Secret; readonly hint: TokenHint },
  ) => Promise<'taken' | 'refused' | 'trouble'>
}

export type TokenHint = 'refresh_token' | 'access_token'

const answerBytes = 262_144
const deadlineMs = 10_000

interface TokenEndpointNeeds {
  readonly outbound: Outbound
  readonly clock: Clock
  readonly random: Random
  readonly proofs: Proofs
}

/** Makes the calls. */
export function createTokenEndpoint(needs: TokenEndpointNeeds): TokenEndpoint {
  const askForTokens = (place: TokenPlace, form: readonly Field[]): Promise<TokenAnswer> =>
    ask(needs, place, form, (response) => {
      const { resource, registration, proof } = place
      const from = { issuer: registration.issuer, resource, now: needs.clock.now(), proof }
      return readAnswer(response, from)
    })

  return {
    exchangeCode: (place, { code, verifier }) =>
      askForTokens(place, [
        ['grant_type', 'authorization_code'],
        ['code', code],
        ['redirect_uri', place.registration.redirectUri],
        ['code_verifier', verifier],
      ]),

    refreshTokens: (place, refreshToken) =>
      askForTokens(place, [
        ['grant_type', 'refresh_token'],
        ['refresh_token', refreshToken],
      ]),

    useOwnCredential: (place, scopes) => {
      const { resource, registration } = place
      const access = requestedAccess({ issuer: registration.issuer, resource, scopes })
      return askForTokens(place, [['grant_type', 'client_credentials'], ...Object.entries(access)])
    },

    presentAssertion: (place, { assertion, scopes }) =>
      askForTokens(place, [
        ['grant_type', 'urn:ietf:params:oauth:grant-type:jwt-bearer'],
        ['assertion', assertion],
        ...scopeField(scopes),
      ]),

    requestIdJag: (place, { subjectToken, audience, scopes }) =>
      ask(
        needs,
        place,
        [
          ['grant_type', 'urn:ietf:params:oauth:grant-type:token-exchange'],
          ['requested_token_type', idJagType],
          ['subject_token', subjectToken],
          ['subject_token_type', 'urn:ietf:params:oauth:token-type:id_token'],
          ['audience', audience],
          ...scopeField(scopes),
        ],
        (response) => readIdJag(response, place.registration.issuer),
      ),

    revokeToken: (place, token) => revokeToken(needs, place, token),
  }
}

function ask<T>(
  needs: TokenEndpointNeeds,
  place: TokenPlace,
  form: readonly Field[],
  read: (response: OutboundResponse) => T,
): Promise<T | Refused> {
  return orTrouble(async () => {
    const { resource, registration } = place
    const fields = [...form, ...Object.entries(resourceParameter(registration.issuer, resource))]
    return read(await atOthersAddress(() => send(needs, place, fields)))
  })
}

async function revokeToken(
  needs: TokenEndpointNeeds,
  { revocationEndpoint: url, registration }: Parameters<TokenEndpoint['revokeToken']>[0],
  { token, hint }: Parameters<TokenEndpoint['revokeToken']>[1],
): ReturnType<TokenEndpoint['revokeToken']> {
  const fields: readonly Field[] = [
    ['token', token],
    ['token_type_hint', hint],
  ]
  try {
    const request = formRequest(needs, { url, registration, fields }, 'revocation')
    const { status } = await needs.outbound.fetch(request)
    if (status >= 200 && status < 300) return 'taken'
    return status === 429 || status >= 500 ? 'trouble' : 'refused'
  } catch (error) {
    if (!isFault(error)) throw error
    return 'trouble'
  }
}

/** Sends it, and once more where the server gives a nonce that the proof must carry (RFC 9449 §8). */
async function send(
  needs: TokenEndpointNeeds,
  { tokenEndpoint: url, registration, proof }: TokenPlace,
  fields: readonly Field[],
): Promise<OutboundResponse> {
  const once = () => {
    // What proves us is made anew: neither an assertion nor a proof is good twice.
    const request = formRequest(needs, { url, registration, fields }, 'token')
    if (proof === undefined) return needs.outbound.fetch(request)
    const dpop = needs.proofs.prove(proof.key, { method: 'POST', url })
    return needs.outbound.fetch({ ...request, headers: { ...request.headers, dpop } })
  }
  const response = await once()
  const isNoted = needs.proofs.note(url, response.headers.get('dpop-nonce'))
  if (proof === undefined || !isNoted) return response
  const { error } = readTokenError(response.status, readJson(response))
  return error === 'use_dpop_nonce' ? once() : response
}

type Field = readonly [name: string, value: string | Secret]

function formRequest(
  needs: TokenEndpointNeeds,
  ask: {
    readonly url: string
    readonly registration: Registration
    readonly fields: readonly Field[]
  },
  purpose: string,
): OutboundRequest {
  const { headers, fields } = authenticate(needs, ask.registration)
  const form = new URLSearchParams()
  for (const [name, value] of [...ask.fields, ...fields]) form.set(name, plain(value))
  return {
    url: ask.url,
    method: 'POST',
    headers: {
      accept: 'application/json',
      'content-type': 'application/x-www-form-urlencoded',
      ...headers,
    },
    body: new Secret(form.toString()),
    purpose,
    limits: { bytes: answerBytes, timeMs: deadlineMs, redirects: 0 },
  }
}

function plain(value: string | Secret): string {
  return typeof value === 'string' ? value : value.reveal()
}

/** RFC 6749 §2.3.1: with basic, id and secret are form-urlencoded first; else the id goes into the body. */
function authenticate(
  needs: TokenEndpointNeeds,
  { issuer, clientId, clientSecret, clientKey, authMethod }: Registration,
): {
  readonly headers: Readonly<Record<string, Secret>>
  readonly fields: readonly Field[]
} {
  const id: Field = ['client_id', clientId]
  if (authMethod === 'private_key_jwt' && clientKey !== undefined) {
    const assertion = createClientAssertion(needs, { clientId, issuer, clientKey })
    const type: Field = ['client_assertion_type', assertionType]
    return { headers: {}, fields: [id, type, ['client_assertion', assertion]] }
  }
  if (authMethod === 'none' || clientSecret === undefined) return { headers: {}, fields: [id] }
  if (authMethod === 'client_secret_post') {
    return { headers: {}, fields: [id, ['client_secret', clientSecret]] }
  }
  const pair = `${formEncode(clientId)}:${formEncode(clientSecret.reveal())}`
  const credentials = Buffer.from(pair).toString('base64')
  return { headers: { authorization: new Secret(`Basic ${credentials}`) }, fields: [] }
}

function formEncode(value: string): string {
  return new URLSearchParams({ v: value }).toString().slice(2)
}

function readAnswer(
  response: OutboundResponse,
  from: {
    readonly issuer: string
    readonly resource: string
    readonly now: number
    readonly proof: ProofOfKey | undefined
  },
): TokenAnswer {
  const { status } = response
  const json = readJson(response)
  if (json !== undefined && !isTokenError(status, json)) {
    return { kind: 'tokens', tokens: readTokens(usualAnswer(from, json), from), status }
  }
  return readRefusal(response, from.issuer, json)
}

function readRefusal(response: OutboundResponse, issuer: string, json: unknown): Refused {
  const { status } = response
  const { error } = readTokenError(status, json)
  const refusal = ownRefusal(issuer, error) ?? refusalOf(status, error, json !== undefined)
  const retryAfterS = readRetryAfterS(response.headers.get('retry-after'))
  const because = `the token endpoint answered ${status} ${error}`
  const fault = new Fault(faultCodeOf(refusal, error), {
    because,
    ...(retryAfterS === undefined ? {} : { retryAfterS }),
  })
  return { kind: 'refused', refusal, fault, status }
}

const idJagType = 'urn:ietf:params:oauth:token-type:id-jag'

/** RFC 8693 §2.2.1; the draft's §6.1: what is issued is no access token, whatever its member is called. */
function readIdJag(response: OutboundResponse, issuer: string): AssertionAnswer {
  const json = readJson(response)
  if (json === undefined || isTokenError(response.status, json)) {
    return readRefusal(response, issuer, json)
  }
  const { issued_token_type: type, access_token: assertion } = asObject(json) ?? {}
  const isOne =
    type === idJagType && typeof assertion === 'string' && assertionShape.test(assertion)
  if (isOne) return { kind: 'assertion', assertion: new Secret(assertion) }
  throw new Fault('token_response_invalid', {
    because: 'the identity provider issued no ID-JAG',
  })
}

const assertionShape = /^[\w-]+\.[\w-]+\.[\w-]+$/

function scopeField(scopes: readonly string[]): readonly Field[] {
  return scopes.length === 0 ? [] : [['scope', formatScope(scopes)]]
}

function readTokens(
  json: unknown,
  { now, proof }: { readonly now: number; readonly proof: ProofOfKey | undefined },
): TokenSet {
  const tokens = readTokenResponse(json, now, usableWith(proof))
  return tokens.tokenType === 'DPoP' && proof !== undefined
    ? { ...tokens, proofKey: proof.key }
    : tokens
}

function usableWith(proof: ProofOfKey | undefined): UsableTypes {
  if (proof === undefined) return 'bearer'
  return proof.isRequired ? 'bound' : 'bearer_or_bound'
}

function readJson(response: OutboundResponse): unknown {
  try {
    return response.json()
  } catch {
    return undefined // A page instead of JSON: its status says the rest.
  }
}

// `invalid_grant` (RFC 6749 §5.2) and what GitHub, Slack and others say instead of it.
const grantErrors = new Set([
  'invalid_grant',
  'bad_refresh_token',
  'invalid_refresh_token',
  'expired_token',
  'token_expired',
  'token_revoked',
  'bad_verification_code',
])
const clientErrors = new Set([
  'invalid_client',
  'unauthorized_client',
  'incorrect_client_credentials',
])
const troubleErrors = new Set(['server_error', 'temporarily_unavailable', 'slow_down'])

function refusalOf(status: number, error: string, isJson: boolean): TokenRefusal {
  if (status === 429 || status >= 500 || !isJson) return 'trouble'
  if (grantErrors.has(error)) return 'grant'
  if (clientErrors.has(error)) return 'client'
  return troubleErrors.has(error) ? 'trouble' : 'request'
}

function faultCodeOf(refusal: TokenRefusal, error: string): FaultCode {
  if (refusal === 'grant') return 'invalid_grant'
  if (refusal === 'trouble') return 'provider_unreachable'
  return error === 'invalid_scope' || error === 'access_denied' ? error : 'client_configuration'
}

const retryAfterMaxS = 3600

function readRetryAfterS(header: string | null): number | undefined {
  if (header === null || !/^\d{1,6}$/.test(header)) return undefined
  return Math.min(Number(header), retryAfterMaxS)
}

/** What kept an answer away ends as a refusal that may pass. */
async function orTrouble<T>(work: () => Promise<T>): Promise<T | Refused> {
  try {
    return await work()
  } catch (error) {
    if (!isFault(error)) throw error
    return { kind: 'refused', refusal: 'trouble', fault: asTrouble(error) }
  }
}

// A broken answer is the server's trouble too, but it keeps its own words.
function asTrouble(fault: Fault): Fault {
  const isPlain = fault.code === 'network_error' || fault.code === 'timeout'
  if (isPlain || fault.code === 'token_response_invalid') return fault
  return new Fault('provider_unreachable', { because: fault.because, cause: fault })
}
