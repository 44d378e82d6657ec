// Dynamic Client Registration as a client (RFC 7591): what we say about ourselves, and what the answer grants us. Keeping
// the result is left to register.ts.
import { z } from 'zod'
import type { Clock } from '../base/clock.ts'
import { Fault, isFault } from '../base/fault.ts'
import type { Log } from '../base/log.ts'
import type { Outbound, OutboundResponse } from '../base/outbound.ts'
import { Secret } from '../base/secret.ts'
import type { AuthorizationServerMetadata } from '../oauth/metadata.ts'
import { isLoopbackRedirect } from '../oauth/redirect-uri.ts'
import { formatScope } from '../oauth/scope.ts'
import { httpUrl } from '../oauth/shapes.ts'
import { readTokenError } from '../oauth/token-response.ts'
import { atOthersAddress } from './others-addresses.ts'

/** How we prove ourselves at a token endpoint. */
export type AuthMethod = 'none' | 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt'
export type RegistrationMethod = 'preregistered' | 'cimd' | 'dcr'

/** A registration that is not stored yet. */
export interface NewRegistration {
  readonly method: RegistrationMethod
  readonly clientId: string
  readonly clientSecret?: Secret | undefined
  readonly clientSecretExpiresAt?: number
  /** Our key there, as it is kept (oauth/private-key.ts). */
  readonly clientKey?: Secret | undefined
  readonly authMethod: AuthMethod
  readonly registrationAccessToken?: Secret
  readonly registrationClientUri?: string
}

/**
 * The first of none, basic and post that the server lists; with a secret at hand `none` is not taken. A server that
 * lists nothing means basic (RFC 8414 §2).
 */
export function preferredAuthMethod(
  listed: readonly string[] | undefined,
  { hasSecret }: { readonly hasSecret: boolean },
): AuthMethod {
  const ours: readonly AuthMethod[] = hasSecret
    ? ['client_secret_basic', 'client_secret_post']
    : ['none', 'client_secret_basic', 'client_secret_post']
  return ours.find((method) => listed?.includes(method)) ?? 'client_secret_basic'
}

interface Needs {
  readonly outbound: Outbound
  readonly clock: Clock
  readonly log: Log
}

/** What of an authorization server says how one becomes a client there. */
export type ClientFacts = Pick<
  AuthorizationServerMetadata,
  | 'registration_endpoint'
  | 'token_endpoint_auth_methods_supported'
  | 'client_id_metadata_document_supported'
>

interface Request {
  readonly metadata: ClientFacts
  readonly clientName: string
  readonly serverName: string
  readonly redirectUri: string
  readonly scopes: readonly string[]
}

/** Registers us (RFC 7591 §3). Throws Fault('registration_failed' | 'registration_not_supported' | …). */
export async function registerDynamically(
  needs: Needs,
  request: Request,
): Promise<NewRegistration> {
  const asked = preferredAuthMethod(request.metadata.token_endpoint_auth_methods_supported, {
    hasSecret: false,
  })
  const response = await send(needs, request, asked)
  if (response.status !== 201 && response.status !== 200) throw refusal(needs, response)
  return readRegistration(response, asked)
}

/** Deletes a registration where the server offers that (RFC 7592 §2.3). Says whether it is gone. */
export async function unregister(
  { outbound }: Pick<Needs, 'outbound'>,
  { registrationAccessToken: token, registrationClientUri: url }: NewRegistration,
): Promise<boolean> {
  if (token === undefined || url === undefined) return false
  const authorization = new Secret(`Bearer ${token.reveal()}`)
  const { status } = await atOthersAddress(() =>
    outbound.fetch({
      url,
      method: 'DELETE',
      headers: { authorization },
      purpose: 'registration',
    }),
  )
  return status === 204 || status === 200
}

const fetched = {
  method: 'POST',
  headers: { 'content-type': 'application/json', accept: 'application/json' },
  purpose: 'registration',
} as const
const attemptsMax = 3
const firstDelayMs = 1000

// S1-39: only a request that never got there is sent again; a registration is not idempotent.
async function send(
  needs: Needs,
  request: Request,
  authMethod: AuthMethod,
): Promise<OutboundResponse> {
  const body = JSON.stringify(describeUs(request, authMethod))
  for (let attempt = 1; ; attempt += 1) {
    try {
      const url = request.metadata.registration_endpoint ?? ''
      return await atOthersAddress(() => needs.outbound.fetch({ ...fetched, url, body }))
    } catch (error) {
      const mayRepeat = isFault(error) && error.code === 'network_error' && attempt < attemptsMax
      if (!mayRepeat) throw error
      await needs.clock.sleep(firstDelayMs * 2 ** (attempt - 1))
    }
  }
}

function describeUs(request: Request, authMethod: AuthMethod) {
  const { clientName, serverName, redirectUri, scopes } = request
  return {
    client_name: `${clientName} MCP Client - ${serverName}`,
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: authMethod,
    // MCP authorization, SEP-837: `native` for a client that comes back to this machine, `web` for all others.
    application_type: isLoopbackRedirect(redirectUri) ? 'native' : 'web',
    ...(scopes.length === 0 ? {} : { scope: formatScope(scopes) }),
  }
}

const visible = /^[\x20-\x7E]+$/
const text = z.string().min(1).max(4096).regex(visible)
const time = z.union([
  z.number(),
  z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number),
])

const answerShape = z.object({
  client_id: text,
  client_secret: text.nullish(),
  client_secret_expires_at: time.nullish(),
  token_endpoint_auth_method: z.string().nullish(),
  registration_access_token: text.nullish(),
  // An address that cannot be one is as good as none.
  registration_client_uri: httpUrl.nullish().catch(undefined),
})

/** Reads the answer (RFC 7591 §3.2.1); what it grants counts, not what was asked. */
function readRegistration(response: OutboundResponse, asked: AuthMethod): NewRegistration {
  const read = answerShape.safeParse(readJson(response))
  if (!read.success) {
    throw new Fault('registration_failed', { because: 'the answer has no usable client_id' })
  }
  const answer = read.data
  const secret = answer.client_secret ?? undefined
  const authMethod = grantedMethod(answer.token_endpoint_auth_method ?? undefined, asked, secret)
  const expiresAt = readExpiry(answer.client_secret_expires_at ?? 0)
  const { registration_access_token: accessToken, registration_client_uri: uri } = answer
  return {
    method: 'dcr',
    clientId: answer.client_id,
    authMethod,
    ...(secret === undefined || authMethod === 'none' ? {} : { clientSecret: new Secret(secret) }),
    ...(expiresAt === undefined ? {} : { clientSecretExpiresAt: expiresAt }),
    ...(accessToken ? { registrationAccessToken: new Secret(accessToken) } : {}),
    ...(uri ? { registrationClientUri: uri } : {}),
  }
}

function grantedMethod(
  granted: string | undefined,
  asked: AuthMethod,
  secret: string | undefined,
): AuthMethod {
  const method = granted ?? (secret === undefined ? 'none' : askedWithSecret(asked))
  if (method === 'none') return 'none'
  if (method !== 'client_secret_basic' && method !== 'client_secret_post') {
    throw new Fault('registration_failed', { because: 'granted an auth method that we don’t have' })
  }
  if (secret !== undefined) return method
  throw new Fault('registration_failed', { because: `granted ${method} without a client_secret` })
}

function askedWithSecret(asked: AuthMethod): AuthMethod {
  return asked === 'none' ? 'client_secret_basic' : asked
}

// RFC 7591 §3.2.1 says seconds, some servers send milliseconds (S1-34); 0 means never.
const secondsMax = 1e10

function readExpiry(value: number): number | undefined {
  if (!(value > 0)) return undefined
  const ms = Math.floor(value > secondsMax ? value : value * 1000)
  return Math.min(ms, Number.MAX_SAFE_INTEGER)
}

const closedStatuses = new Set([401, 403, 404, 405])

function refusal({ log }: Needs, response: OutboundResponse): Fault {
  const { status } = response
  const { error } = readTokenError(status, readJson(response))
  log.warn({ status, error }, 'a registration was refused')
  const because = `the registration endpoint answered ${status} ${error}`
  if (closedStatuses.has(status)) return new Fault('registration_not_supported', { because })
  if (status === 429 || status >= 500) return new Fault('provider_unreachable', { because })
  return new Fault('registration_failed', { because })
}

function readJson(response: OutboundResponse): unknown {
  try {
    return response.json()
  } catch {
    return undefined // A page instead of JSON says no more than its status does.
  }
}
