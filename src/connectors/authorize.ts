// Begins a sign-in for a connection: discovery, registration, scopes, flow; or says that it is not needed, or carries on
// the flow that an API key began.
import type { Secret } from '../base/secret.ts'
import type { Principal } from '../people/principal.ts'
import { baseOf, originOf } from '../people/tenants.ts'
import type { Tenant } from '../people/tenants.ts'
import { isForEverybody, needsBrowser } from '../upstream/grant.ts'
import type { GrantType } from '../upstream/grant.ts'
import type { Registration } from '../upstream/register.ts'
import { isSubset, parseScope, unionScopes } from '../upstream/scopes.ts'
import { obtainAlone } from './alone.ts'
import type { AloneNeeds } from './alone.ts'
import { connectUrlOf, toPublicConnection } from './connection-rows.ts'
import type { JoinedConnection } from './connection-rows.ts'
import { appRedirectUri } from './app-callback.ts'
import { prepare, readServer } from './prepare.ts'
import { invalid } from './server-input.ts'
import { wishedScopes } from './step-up.ts'

export interface AuthorizeOptions {
  /** A path of ours, or a URL on our origin or an app's; anything else is passed over (S1-54). */
  readonly returnTo?: string | undefined
  /** A page of an app that takes the callback in place of ours; the app then brings the answer (S1-55). */
  readonly callbackUrl?: string | undefined
  /** Separated by spaces; asked for on top of what was asked for before (step-up). */
  readonly additionalScopes?: string | undefined
  /** Signs in even where that is not needed: the person asks for it, because the server does. */
  readonly again?: boolean | undefined
  /** The browser that will bring the callback. */
  readonly browser?: Secret | undefined
  /** A flow that was begun without a browser, to be carried on by this one. */
  readonly flowId?: string | undefined
}

export type Authorization =
  | {
      readonly authorizeUrl: string
      readonly flowId: string
      readonly expiresAt: number
      readonly usedRegistration: Registration['method']
    }
  | { readonly alreadyAuthorized: true }

interface Needs extends AloneNeeds {
  readonly returnOrigins: readonly string[]
}

/** Begins, or carries on. Throws Fault('invalid_input') for a server without sign-in, and what upstream throws. */
export async function authorizeConnection(
  needs: Needs,
  principal: Principal,
  connection: JoinedConnection,
  options: AuthorizeOptions,
): Promise<Authorization> {
  const { flowId, browser } = options
  if (flowId !== undefined && browser !== undefined) {
    return carryOn(needs, principal, connection, { flowId, browser })
  }
  const grantType = connection.server_grant_type as GrantType // only this room writes it
  const isFitting = (connection.of_tenant === 1) === isForEverybody(grantType)
  if (connection.provider_slug !== null) {
    const page = connectUrlOf(principal.tenant, connection.id)
    throw invalid('serverId', `People sign in to this server on our page: ${page}`)
  }
  if (connection.server_auth !== 'oauth' || !isFitting) {
    throw invalid('serverId', 'This server needs no sign-in.')
  }
  if (!needsBrowser(grantType)) return authorizeAlone(needs, principal, connection, options)
  const wished = wishedScopes(connection)
  const isRefused = connection.status_reason === 'scope_insufficient'
  const given = parseScope(options.additionalScopes)
  const needed = isRefused ? unionScopes(given, wished) : given
  const isNeeded = options.again === true || isRefused || !isAuthorized(needs, connection, needed)
  if (!isNeeded) return { alreadyAuthorized: true }
  const additional = unionScopes(given, wished)

  const { tenant } = principal
  const { callbackUrl } = options
  const server = await readServer(needs, connection)
  const { discovery, registration, scopes } = await prepare(needs, {
    tenant,
    server,
    connection,
    additional,
    appUri:
      callbackUrl === undefined
        ? undefined
        : appRedirectUri(needs.returnOrigins, callbackUrl, server.context),
  })
  const begun = await needs.upstream.flows.begin({
    tenant,
    user: { id: connection.user_id },
    connection,
    server,
    discovery,
    registration,
    scopes,
    returnTo: safeReturn(needs, tenant, options.returnTo),
    browser,
  })
  return { ...begun, usedRegistration: registration.method }
}

/** Nobody has to go anywhere: the tokens are here, or are asked for now. */
async function authorizeAlone(
  needs: AloneNeeds,
  { tenant }: Principal,
  connection: JoinedConnection,
  { again }: AuthorizeOptions,
): Promise<Authorization> {
  const isNeeded = again === true || !isAuthorized(needs, connection, [])
  if (isNeeded) await obtainAlone(needs, { tenant, connection, isWished: true })
  return { alreadyAuthorized: true }
}

async function carryOn(
  { upstream }: AloneNeeds,
  { tenant }: Principal,
  connection: JoinedConnection,
  { flowId, browser }: { readonly flowId: string; readonly browser: Secret },
): Promise<Authorization> {
  const user = { id: connection.user_id }
  const connectionId = connection.id
  const bound = await upstream.flows.bindBrowser({ tenant, flowId, connectionId, user, browser })
  return { flowId, ...bound }
}

function isAuthorized(
  { clock }: AloneNeeds,
  connection: JoinedConnection,
  additional: readonly string[],
): boolean {
  const now = clock.now()
  const { authorized, scopes, status } = toPublicConnection(connection, { isSigningIn: false, now })
  return authorized && status !== 'error' && isSubset(additional, scopes)
}

/**
 * Only known origins are returned to, and of one that the tenant shares with others its own part; a URL is read as a browser
 * would read it (RFC 9700 §4.11).
 */
function safeReturn(
  { returnOrigins }: Pick<Needs, 'returnOrigins'>,
  tenant: Tenant,
  returnTo: string | undefined,
): string | undefined {
  if (returnTo === undefined) return undefined
  const [origin, base] = [originOf(tenant), baseOf(tenant)]
  const written = /^\/(?![/\\])/.test(returnTo) ? base + returnTo : returnTo
  if (!URL.canParse(written, origin)) return undefined
  const url = new URL(written, origin)
  const isOwn = url.origin === origin && `${url.pathname}/`.startsWith(`${base}/`)
  const isPlain = url.username === '' && url.password === ''
  return (isOwn || returnOrigins.includes(url.origin)) && isPlain ? url.href : undefined
}
