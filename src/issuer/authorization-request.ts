// The checks of an authorization request, in the order that keeps people safe: parameters, client, redirect URI, and
// only then what may be answered by a redirect. Storing the request and asking the person belong to authorize.ts.
import { Fault, callersFault, isFault } from '../base/fault.ts'
import { isThumbprint } from '../oauth/dpop.ts'
import { readParameters } from '../oauth/parameters.ts'
import type { Parameters } from '../oauth/parameters.ts'
import { isChallenge } from '../oauth/pkce.ts'
import { parseScope, unionScopes } from '../oauth/scope.ts'
import type { Tenant } from '../people/tenants.ts'
import { requireGrantType } from './clients.ts'
import type { Client } from './clients.ts'
import { requireParameter, separateResources } from './form-request.ts'
import { howToReconnect } from './known-clients.ts'
import { requestedResource } from './resources.ts'
import type { Resource, Resources } from './resources.ts'
import { proveReturnAddress } from './return-address.ts'
import type { ReturnAddress } from './return-address.ts'
import { allowedScopes, chooseScopes, identityScopes } from './scopes.ts'

/** A request whose every part has been checked. */
export interface CheckedRequest {
  readonly client: Client
  readonly returnTo: ReturnAddress
  readonly codeChallenge: string
  /** Given back in the ID token (OIDC Core §3.1.2.1). */
  readonly nonce: string | undefined
  /** The key that the code is to be bound to (RFC 9449 §10). */
  readonly dpopJkt: string | undefined
  readonly prompts: readonly Prompt[]
  readonly scopes: readonly string[]
  readonly resource: Resource
}

/** Accepted, or refused in a way that the client may be told. */
export type RequestReading =
  | { readonly kind: 'accepted'; readonly request: CheckedRequest }
  | { readonly kind: 'refused'; readonly returnTo: ReturnAddress; readonly fault: Fault }

/** What a client may ask of the pages (OIDC Core §3.1.2.1). */
export const knownPrompts = ['none', 'login', 'consent', 'select_account'] as const
export type Prompt = (typeof knownPrompts)[number]

/** A request as it came. */
export interface GivenRequest {
  readonly query: URLSearchParams
  /** Did the client push it to us itself, or does it come from a browser (RFC 9126)? */
  readonly isPushed: boolean
}

interface Needs {
  readonly resources: Resources
  /** The client with this id, its document fetched if it has one. Throws a Fault when there is none. */
  readonly clientFor: (tenant: Tenant, id: string) => Promise<Client>
}

/** Checks a request. Throws a Fault, to be shown on a page of ours, as long as no redirect is safe (RFC 6749 §4.1.2.1). */
export async function readAuthorizationRequest(
  { resources, clientFor }: Needs,
  tenant: Tenant,
  { query, isPushed }: GivenRequest,
): Promise<RequestReading> {
  const parameters = readParameters(query)
  for (const name of ['client_id', 'redirect_uri']) requireOnce(parameters, name)
  const client = await requireClient(clientFor, tenant, parameters)
  const redirectUri = parameters.get('redirect_uri')
  const returnTo = proveReturnAddress(tenant, client, { redirectUri, state: readState(parameters) })
  try {
    const rest = await readRest(resources, { tenant, client, query, isPushed })
    return { kind: 'accepted', request: { client, returnTo, ...rest } }
  } catch (error) {
    // From here on the client may be told, and only it: a refusal becomes a value that knows where to go.
    if (isFault(error)) return { kind: 'refused', returnTo, fault: error }
    throw error
  }
}

/** A person whose program is not known any more is told how to connect anew in that one (peers: dead client ids). */
async function requireClient(
  clientFor: Needs['clientFor'],
  tenant: Tenant,
  parameters: Parameters,
): Promise<Client> {
  const clientId = requireParameter(parameters, 'client_id')
  const redirectUri = parameters.get('redirect_uri')
  try {
    return await clientFor(tenant, clientId)
  } catch (error) {
    if (!isFault(error) || error.code !== 'invalid_client') throw error
    throw new Fault('invalid_client', {
      because: error.because,
      cause: error,
      detail: { client: howToReconnect({ clientId, redirectUri }) },
    })
  }
}

interface Asked extends GivenRequest {
  readonly tenant: Tenant
  readonly client: Client
}

type Check = (parameters: Parameters) => void

const checks: readonly Check[] = [
  requireUsableState,
  refuseRequestObjects,
  requireCode,
  requireQueryAnswer,
  requireChallenge,
]

async function readRest(
  resources: Resources,
  { tenant, client, query, isPushed }: Asked,
): Promise<Omit<CheckedRequest, 'client' | 'returnTo'>> {
  const { parameters, resources: named } = separateResources(query)
  for (const check of checks) check(parameters)
  // RFC 6749 §4.1.2.1: nobody could redeem what this would give.
  requireGrantType(client, 'authorization_code')
  if (!isPushed) refuseUnlessPushed(client)
  const prompts = readPrompts(parameters)
  const asked = parseScope(parameters.get('scope'))
  const resource = await requestedResource(resources, tenant, named)
  return {
    codeChallenge: requireParameter(parameters, 'code_challenge'),
    nonce: readNonce(parameters),
    dpopJkt: readDpopKey(parameters),
    prompts,
    scopes: chooseScopes(asked, scopesFor(client, resource)),
    resource,
  }
}

function requireOnce(parameters: Parameters, name: string): void {
  if (!parameters.repeated.includes(name)) return
  throw callersFault('invalid_request', `${name} is there more than once`)
}

const stateCharsMax = 4096

/** The state if it can be given back unchanged; it is the client's own and is never read (RFC 6749 §4.1.1). */
function readState(parameters: Parameters): string | undefined {
  const state = parameters.get('state')
  const isUsable = state !== undefined && state.length <= stateCharsMax && !/\p{Cc}/u.test(state)
  return isUsable ? state : undefined
}

function requireUsableState(parameters: Parameters): void {
  if (parameters.get('state') === readState(parameters)) return
  throw callersFault('invalid_request', 'state is too long or has control characters')
}

const nonceCharsMax = 512

function readNonce(parameters: Parameters): string | undefined {
  const nonce = parameters.get('nonce')
  if (nonce === undefined || (nonce.length <= nonceCharsMax && !/\p{Cc}/u.test(nonce))) return nonce
  throw callersFault('invalid_request', 'nonce is too long or has control characters')
}

/** RFC 9449 §10: the thumbprint of the key whose proof will come with the code. */
function readDpopKey(parameters: Parameters): string | undefined {
  const jkt = parameters.get('dpop_jkt')
  if (jkt === undefined || isThumbprint(jkt)) return jkt
  throw callersFault('invalid_request', 'dpop_jkt is not a thumbprint')
}

// RFC 9101 §5 and OIDC Core §3.1.2.6 have an error of their own for each.
function refuseRequestObjects(parameters: Parameters): void {
  if (parameters.has('request')) {
    throw callersFault('request_not_supported', 'request objects are not supported')
  }
  if (parameters.has('request_uri')) {
    throw callersFault('request_uri_not_supported', 'request_uri is not supported')
  }
}

/** RFC 9126 §6: a client may have said that whatever comes by a browser alone is not from it. */
function refuseUnlessPushed({ metadata }: Client): void {
  if (metadata.require_pushed_authorization_requests !== true) return
  throw callersFault('invalid_request', 'the client pushes its requests')
}

function requireCode(parameters: Parameters): void {
  if (requireParameter(parameters, 'response_type') === 'code') return
  throw callersFault('unsupported_response_type', 'the response type is not code')
}

function requireQueryAnswer(parameters: Parameters): void {
  if ((parameters.get('response_mode') ?? 'query') === 'query') return
  throw callersFault('invalid_request', 'the response mode is not query')
}

/** PKCE with S256 for every client (OAuth 2.1 §4.1.1, RFC 7636 §4.4.1); an absent method would mean `plain`. */
function requireChallenge(parameters: Parameters): void {
  const isS256 = parameters.get('code_challenge_method') === 'S256'
  if (isS256 && isChallenge(requireParameter(parameters, 'code_challenge'))) return
  throw callersFault('invalid_request', 'a code_challenge with method S256 is required')
}

function readPrompts(parameters: Parameters): readonly Prompt[] {
  const words = (parameters.get('prompt') ?? '').split(' ').filter((word) => word !== '')
  const prompts = knownPrompts.filter((known) => words.includes(known))
  if (!words.every((word) => knownPrompts.some((known) => known === word))) {
    throw callersFault('invalid_request', 'prompt has an unknown value')
  }
  if (prompts.includes('none') && prompts.length > 1) {
    throw callersFault('invalid_request', 'prompt=none stands alone')
  }
  return prompts
}

/** What this client may have of this resource and, beside it, of the person. */
export function scopesFor({ metadata }: Client, { scopes, usual = scopes }: Resource) {
  const registered = parseScope(metadata.scope)
  const all = unionScopes(scopes, Object.values(identityScopes))
  return { usual: allowedScopes(usual, registered), available: allowedScopes(all, registered) }
}
