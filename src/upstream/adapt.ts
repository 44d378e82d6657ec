// What is said to a provider and what it says, bent to the rows of quirks.ts; whoever has no row there sees the standards
// unchanged. Pure: the requests themselves are made by flows.ts, token-endpoint.ts and authorization-server.ts.
import { formatScope } from '../oauth/scope.ts'
import { asObject, field } from '../oauth/shapes.ts'
import type { JsonObject } from '../oauth/shapes.ts'
import { quirkOf } from './quirks.ts'
import type { TokenRefusal } from './quirks.ts'

/** Says whether two spellings name one issuer: the same bytes, or one slash at the end where a row says so. */
export function isSameIssuer(one: string, other: string): boolean {
  if (one === other) return true
  if (one !== `${other}/` && other !== `${one}/`) return false
  return [one, other].every((issuer) => quirkOf(issuer, 'issuer_slash') !== undefined)
}

/** The issuer as its own metadata spell it, where that spelling is as good as the one that was asked for. */
export function spelledIssuer(asked: string, document: unknown): string {
  const found = field(asObject(document) ?? {}, 'issuer')
  return typeof found === 'string' && isSameIssuer(asked, found) ? found : asked
}

/** Metadata with what the provider documents but leaves out; what is there stays as it is. */
export function completedMetadata(issuer: string, document: unknown): unknown {
  const metadata = asObject(document)
  const members = quirkOf(issuer, 'unannounced')?.members
  if (metadata === undefined || members === undefined) return document
  const missing = Object.entries(members).filter(([name]) => field(metadata, name) === undefined)
  return { ...metadata, ...Object.fromEntries(missing) }
}

/** Where a browser is sent to sign in (RFC 6749 §4.1.1, RFC 7636 §4.3, RFC 8707 §2.1). */
export function authorizationUrl(
  plan: {
    readonly authorizationEndpoint: string
    readonly clientId: string
    readonly redirectUri: string
    readonly issuer: string
    readonly resource: string
    readonly scopes: readonly string[]
  },
  { state, challenge }: { readonly state: string; readonly challenge: string },
): string {
  const url = new URL(plan.authorizationEndpoint)
  const parameters = {
    response_type: 'code',
    client_id: plan.clientId,
    redirect_uri: plan.redirectUri,
    state,
    code_challenge: challenge,
    code_challenge_method: 'S256',
    ...requestedAccess(plan),
  }
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  return url.href
}

/** The part of an authorization request that says for what: resource, audience, scopes and how long. */
export function requestedAccess({
  issuer,
  resource,
  scopes,
}: {
  readonly issuer: string
  readonly resource: string
  readonly scopes: readonly string[]
}): Readonly<Record<string, string>> {
  const audience = quirkOf(issuer, 'audience')
  return {
    ...resourceParameter(issuer, resource),
    ...(audience === undefined || resource === ''
      ? {}
      : { audience: audience.audience ?? resource }),
    ...scopeParameters(issuer, resource, scopes),
    ...quirkOf(issuer, 'parameters')?.parameters,
  }
}

/** RFC 8707 §2: in every request that is for a resource, but where a provider refuses it. */
export function resourceParameter(
  issuer: string,
  resource: string,
): { readonly resource?: string } {
  const isSent = resource !== '' && quirkOf(issuer, 'resource_left_out') === undefined
  return isSent ? { resource } : {}
}

// OIDC Core §11: `offline_access` is passed over unless the person is asked for consent.
function scopeParameters(
  issuer: string,
  resource: string,
  asked: readonly string[],
): Readonly<Record<string, string>> {
  const offline = quirkOf(issuer, 'offline_by_parameters')
  const known = offline === undefined ? asked : asked.filter((scope) => scope !== 'offline_access')
  const scopes = qualified(issuer, resource, known)
  const isAskedAgain =
    scopes.includes('offline_access') && quirkOf(issuer, 'prompt_left_out') === undefined
  return {
    ...(scopes.length === 0 ? {} : { scope: formatScope(scopes) }),
    ...(isAskedAgain ? { prompt: 'consent' } : {}),
    ...offline?.parameters,
  }
}

// OIDC Core §5.4 and §11: these belong to no resource.
const identityScopes = new Set(['openid', 'profile', 'email', 'offline_access'])

function qualified(issuer: string, resource: string, asked: readonly string[]): readonly string[] {
  const quirk = quirkOf(issuer, 'scope_of_resource')
  if (quirk === undefined || resource === '') return asked
  const isComplete = (scope: string) => identityScopes.has(scope) || scope.includes('/')
  const scopes = asked.length === 0 ? quirk.whenNone : asked
  return scopes.map((scope) => (isComplete(scope) ? scope : `${resource}/${scope}`))
}

/** A token answer as the standard would have it (RFC 6749 §5.1), scopes in the words of the resource. */
export function usualAnswer(
  { issuer, resource }: { readonly issuer: string; readonly resource: string },
  json: unknown,
): unknown {
  const answer = asObject(json)
  if (answer === undefined) return json
  const scope = usualScope(issuer, resource, answer)
  const type = field(answer, 'token_type')
  const isBearer =
    typeof type === 'string' && quirkOf(issuer, 'bearer_types')?.types.includes(type) === true
  return {
    ...answer,
    ...(scope === undefined ? {} : { scope }),
    ...(isBearer ? { token_type: 'Bearer' } : {}),
  }
}

function usualScope(issuer: string, resource: string, answer: JsonObject): string | undefined {
  const byComma = quirkOf(issuer, 'scopes_by_comma')
  const member = byComma?.member === undefined ? answer : asObject(field(answer, byComma.member))
  const scope = field(member ?? {}, 'scope')
  if (typeof scope !== 'string') return undefined
  if (byComma !== undefined) return scope.replaceAll(',', ' ')
  return quirkOf(issuer, 'scope_of_resource') === undefined
    ? scope
    : scope
        .split(' ')
        .map((one) => withoutResource(one, resource))
        .join(' ')
}

function withoutResource(scope: string, resource: string): string {
  const prefix = `${resource}/`
  return scope.startsWith(prefix) ? scope.slice(prefix.length) : scope
}

/** What an error name of the provider's own means; undefined for all others. */
export function ownRefusal(issuer: string, error: string): TokenRefusal | undefined {
  const errors = quirkOf(issuer, 'errors')?.errors ?? {}
  return Object.hasOwn(errors, error) ? errors[error] : undefined
}
