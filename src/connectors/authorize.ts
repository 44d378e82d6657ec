// Begins a sign-in for a connection: discovery, registration, scopes, flow; or says that it is not needed, or carries on
// the flow that an API key began.
import { isFault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Secret } from '../base/secret.ts'
import type { Journal } from '../journal/entries.ts'
import type { Principal } from '../people/principal.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Clock } from '../base/clock.ts'
import type { Database } from '../store/database.ts'
import type { ServerRow } from '../store/schema.ts'
import type { Discovery } from '../upstream/discover.ts'
import type { Preregistered, Registration } from '../upstream/register.ts'
import { chooseScopes, isSubset, parseScope } from '../upstream/scopes.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { toPublicConnection } from './connection-rows.ts'
import type { JoinedConnection } from './connection-rows.ts'
import { appRedirectUri } from './app-callback.ts'
import { invalid } from './server-input.ts'
import { serverPlace } from './server-rows.ts'

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

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly keyring: Keyring
  readonly journal: Journal
  readonly upstream: Upstream
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
  if (connection.server_auth !== 'oauth') throw invalid('serverId', 'This server needs no sign-in.')
  const additional = parseScope(options.additionalScopes)
  const isNeeded = options.again === true || !isAuthorized(needs, connection, additional)
  if (!isNeeded) return { alreadyAuthorized: true }

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

async function carryOn(
  { upstream }: Needs,
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
  { clock }: Needs,
  connection: JoinedConnection,
  additional: readonly string[],
): boolean {
  const now = clock.now()
  const { authorized, scopes, status } = toPublicConnection(connection, { isSigningIn: false, now })
  return authorized && status !== 'error' && isSubset(additional, scopes)
}

function readServer({ db }: Needs, connection: JoinedConnection): Promise<ServerRow> {
  return db
    .selectFrom('servers')
    .selectAll()
    .where('tenant_id', '=', connection.tenant_id)
    .where('id', '=', connection.server_id)
    .executeTakeFirstOrThrow()
}

interface Preparation {
  readonly tenant: Tenant
  readonly server: ServerRow
  readonly connection: JoinedConnection
  readonly additional: readonly string[]
  readonly appUri: string | undefined
}

/** Finds out how to sign in and becomes a client there; forgets the finding when that fails, so that the next try looks anew. */
async function prepare(needs: Needs, facts: Preparation) {
  const { upstream } = needs
  const { tenant, server, connection, additional, appUri } = facts
  const issuer = server.issuer ?? undefined
  // A connection that was signed in once may be here because its server moved: then what is cached is the old place.
  const isAgain = connection.status !== 'disconnected' || connection.status_reason !== null
  const discovery = await upstream.discover.discover({
    tenant,
    serverUrl: server.url,
    issuer,
    fresh: isAgain,
  })
  const before = await upstream.vault.binding({ tenant, connectionId: connection.id })
  const scopes = chooseScopes(discovery, {
    configured: server.scopes ?? undefined,
    additional,
    previous: before?.requestedScopes ?? [],
  })
  const registration = await becomeClient(needs, { tenant, server, discovery, scopes, appUri })
  return { discovery, registration, scopes }
}

async function becomeClient(
  needs: Needs,
  facts: {
    readonly tenant: Tenant
    readonly server: ServerRow
    readonly discovery: Discovery
    readonly scopes: readonly string[]
    readonly appUri: string | undefined
  },
): Promise<Registration> {
  const { discover, register } = needs.upstream
  const { tenant, server, discovery } = facts
  try {
    const preregistered = givenClient(needs, facts.server)
    return await register.registrationFor({ ...facts, preregistered })
  } catch (thrown) {
    if (!isFault(thrown)) throw thrown
    await discover.forget(tenant, server.url)
    await noteRefusal(needs, server, { issuer: discovery.issuer, error: thrown.code })
    throw thrown
  }
}

async function noteRefusal(
  { db, journal }: Needs,
  { tenant_id: tenantId, id }: ServerRow,
  data: { readonly issuer: string; readonly error: string },
): Promise<void> {
  await db.transaction().execute((tx) =>
    journal.record(tx, {
      tenantId,
      type: 'registration.failed',
      actor: { kind: 'system' },
      subject: { kind: 'server', id },
      data,
    }),
  )
}

function givenClient({ keyring }: Needs, server: ServerRow): Preregistered | undefined {
  const { client_id: clientId, client_secret_sealed: sealed, issuer } = server
  if (clientId === null) return undefined
  const place = serverPlace(server.tenant_id, server.id, 'client_secret_sealed')
  return {
    clientId,
    ...(issuer === null ? {} : { issuer }),
    ...(sealed === null ? {} : { clientSecret: keyring.open(sealed, place) }),
  }
}

/** Only known origins are returned to; a URL is read as a browser would read it (RFC 9700 §4.11). */
function safeReturn(
  { returnOrigins }: Pick<Needs, 'returnOrigins'>,
  { issuer }: Tenant,
  returnTo: string | undefined,
): string | undefined {
  if (returnTo === undefined || !URL.canParse(returnTo, issuer)) return undefined
  const url = new URL(returnTo, issuer)
  const isKnown = [new URL(issuer).origin, ...returnOrigins].includes(url.origin)
  const isPlain = url.username === '' && url.password === ''
  return isKnown && isPlain ? url.href : undefined
}
