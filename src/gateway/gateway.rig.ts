// For the tests of this room: a gateway between a client and an upstream server that the test writes, all on loopback.
import type { IncomingMessage, RequestListener, Server } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { createManualClock, systemClock } from '../base/clock.ts'
import { createPresenter } from '../connectors/present.ts'
import { createProofs } from '../upstream/proofs.ts'
import { createKeyring } from '../base/keyring.ts'
import { silentLog } from '../base/log.ts'
import { createOutbound } from '../base/outbound.ts'
import { systemRandom } from '../base/random.ts'
import { Secret } from '../base/secret.ts'
import type {
  Bearer,
  ConnectionWish,
  Credential,
  Refused,
  StepUp,
} from '../connectors/credential.ts'
import type { Server as McpServer, ToolScope } from '../connectors/servers.ts'
import type { RegisteredScope } from '../issuer/scopes.ts'
import type { KeptCall } from '../journal/call-contents.ts'
import type { Entry } from '../journal/entries.ts'
import type { Principal, TokenPrincipal } from '../people/principal.ts'
import { verifiedPrincipal } from '../people/principal.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { Gateway } from './gateway.ts'
import { createGateway } from './gateway.ts'
import type { CalledAt } from './own.ts'

export const tenant: Tenant = {
  id: 'ten_1',
  slug: 'default',
  issuer: 'https://hub.example',
  name: 'Hub',
}
const uncounted = { isOver: false, resetS: 0, fields: {} }
/** Where a call comes in, without limits. */
export const at: CalledAt = {
  tenant,
  limits: { call: async () => uncounted, stranger: async () => uncounted },
  visitor: { tenantId: tenant.id, address: undefined, agent: undefined },
}
export const aliceToken = 'mcp_at_alice'
export const bobToken = 'mcp_at_bob'
export const connectUrl = 'https://hub.example/connect/con_1'

/** What a test sets up. */
export interface RigSettings {
  readonly upstream?: RequestListener
  /** The credentials in the order in which they are asked for; the last one stays. */
  readonly credentials?: readonly Credential[]
  readonly renewed?: Credential
  /** What is said to a server's `insufficient_scope`. */
  readonly stepUp?: StepUp
  readonly scopes?: readonly string[]
  readonly answerTimeMs?: number
  readonly listTimeMs?: number
  /** The server is among those that `/mcp` has. */
  readonly isUsable?: boolean
  /** The scopes that the server understands. */
  readonly toolScopes?: readonly ToolScope[]
  /** The scopes of the tenant. */
  readonly registry?: readonly RegisteredScope[]
  /** How the server is known to speak; `unknown` until a call has found it out. */
  readonly transport?: McpServer['transport'] | 'unknown'
  /** In place of a listening upstream. */
  readonly upstreamUrl?: string
  /** The tenant keeps what is said. */
  readonly callContentDays?: number
}

export interface Rig {
  readonly gateway: Gateway
  readonly clock: ReturnType<typeof createManualClock>
  readonly origin: string
  readonly seen: readonly SeenRequest[]
  /** How often a forced refresh was asked for. */
  readonly refreshes: () => number
  /** How often any credential was asked for. */
  readonly asked: () => number
  /** What was noted of scopes: what a server refused, and what it let through. */
  readonly scopeNotes: () => readonly string[]
  /** Which connection was named, of each time a credential was asked for. */
  readonly labels: () => readonly (string | undefined)[]
  /** What calls found out of how the server speaks. */
  readonly transportsNoted: () => readonly McpServer['transport'][]
  /** The journal lines so far. */
  readonly entries: () => Promise<readonly Entry[]>
  /** What was kept of what was said. */
  readonly kept: () => Promise<readonly KeptCall[]>
  readonly post: (message: unknown, init?: PostInit) => Promise<Response>
  readonly send: (method: string, init?: PostInit) => Promise<Response>
}

export interface PostInit {
  readonly token?: string | null
  readonly slug?: string
  /** With its question mark. */
  readonly query?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
  readonly raw?: string
}

export interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export const toolsList = { jsonrpc: '2.0', id: 7, method: 'tools/list' }
export const bearer = {
  kind: 'bearer',
  isSignedIn: true,
  token: new Secret('upstream-token-1'),
  connectionId: 'con_1',
  generation: 1,
} as const satisfies Credential

/** Starts the rig; it stops with the test. */
export async function startRig(t: TestContext, settings: RigSettings = {}): Promise<Rig> {
  const seen: SeenRequest[] = []
  const upstream = await listen(t, watch(seen, settings.upstream ?? answerTools))
  const url = settings.upstreamUrl ?? `${upstream}/mcp?own=query`
  const { credentials, counts } = countedCredentials(settings)
  const outbound = createOutbound({ log: silentLog, clock: systemClock }, { allow: ['loopback'] })
  t.after(() => outbound.close())
  const entries: Entry[] = []
  const kept: KeptCall[] = []
  const clock = createManualClock()
  const transport = rememberTransport(settings)

  const parts = { url, credentials, outbound, entries, kept, transport, clock }
  const gateway = gatewayOf(settings, parts)
  const origin = await listen(t, (request, response) => {
    const slug = (request.url ?? '').split('/')[1] ?? ''
    void gateway.serve(request, response, { ...at, slug })
  })

  const send = (method: string, init: PostInit = {}) => sendTo(origin, method, init)
  return {
    gateway,
    clock,
    origin,
    seen,
    refreshes: () => counts.refreshes,
    asked: () => counts.asked,
    labels: () => counts.labels,
    scopeNotes: () => counts.notes,
    transportsNoted: transport.noted,
    entries: async () => {
      await gateway.close()
      return entries
    },
    kept: async () => {
      await gateway.close()
      return kept
    },
    send,
    post: (message, init = {}) =>
      send('POST', {
        raw: JSON.stringify(message),
        ...init,
        headers: { 'content-type': 'application/json', ...init.headers },
      }),
  }
}

function gatewayOf(settings: RigSettings, parts: RigParts): Gateway {
  const { url, transport, entries, kept, ...others } = parts
  const known = (slug: string) =>
    serverAt(slug, { url, ...settings, transport: transport.current() })
  return createGateway(
    {
      ...others,
      verify: async (_tenant, { token }, resource) => principalOf(token, resource, settings),
      dpopNonces: () => ({ current: () => 'nonce', goodUntil: () => undefined }),
      servers: {
        bySlug: async (_tenant, slug) => known(slug),
        noteTransport: async (_server, found) => transport.note(found),
        usable: async () =>
          settings.isUsable === true ? [known('notes')].flatMap((one) => one ?? []) : [],
        scopesInUse: async () => [],
      },
      connections: {
        list: async () => ({ items: [] }),
        ensure: async () => 'con_1',
        sharedServers: async () => new Set(),
      },
      support: { isOn: async () => false, ask: async () => undefined },
      scopes: { all: async () => settings.registry ?? [] },
      grants: { stands: async () => true },
      keyring,
      random: systemRandom,
      db: databaseOfOneTransaction,
      journal: {
        record: async (_tx, entry) => void entries.push(entry),
        subscribe: () => () => {},
        head: async () => 0,
      },
      notes: { note: () => {} },
      traces: { ofToken: async () => undefined },
      attempts: { current: async () => undefined },
      callCounts: { add: () => {} },
      callContents: {
        newId: () => 'cnt_1',
        keep: async (_tx, call) => void kept.push(call),
      },
      log: silentLog,
    },
    {
      ...(settings.answerTimeMs === undefined ? {} : { answerTimeMs: settings.answerTimeMs }),
      ...(settings.listTimeMs === undefined ? {} : { listTimeMs: settings.listTimeMs }),
    },
  )
}

interface RigParts extends Pick<GatewayNeeds, 'credentials' | 'outbound' | 'clock'> {
  readonly url: string
  readonly transport: ReturnType<typeof rememberTransport>
  readonly entries: Entry[]
  readonly kept: KeptCall[]
}

type GatewayNeeds = Parameters<typeof createGateway>[0]

function rememberTransport({ transport = 'streamable_http' }: RigSettings) {
  const noted: McpServer['transport'][] = []
  let current = transport === 'unknown' ? undefined : transport
  return {
    current: () => current,
    note: (found: McpServer['transport']) => {
      current = found
      noted.push(found)
    },
    noted: () => noted,
  }
}

function serverAt(
  slug: string,
  {
    url,
    toolScopes,
    transport,
  }: Pick<RigSettings, 'toolScopes'> & {
    readonly url: string
    readonly transport: McpServer['transport'] | undefined
  },
): McpServer | undefined {
  const shape = {
    auth: 'oauth',
    grantType: 'authorization_code',
    identityHeaders: false,
    headerNames: [],
    tokenFormat: 'opaque',
  } as const
  const facts = { ...shape, tenantId: tenant.id, context: 'ctx' }
  return ['notes', 'other'].includes(slug)
    ? {
        ...facts,
        id: `srv_${slug}`,
        slug,
        name: 'Notes',
        url,
        ...(transport === undefined ? {} : { transport }),
        ...(toolScopes === undefined ? {} : { toolScopes }),
      }
    : undefined
}

function countedCredentials(settings: RigSettings) {
  const counts = {
    asked: 0,
    refreshes: 0,
    labels: [] as (string | undefined)[],
    notes: [] as string[],
  }
  const queue = [...(settings.credentials ?? [bearer])]
  const credentials = {
    ...createPresenter({ proofs: createProofs({ clock: systemClock, random: systemRandom }) }),
    credentialFor: async (_server: McpServer, _by: Principal, wish?: ConnectionWish) => {
      counts.asked += 1
      counts.labels.push(wish?.label)
      return (queue.length > 1 ? queue.shift() : queue[0]) ?? bearer
    },
    holds: async () => true,
    refreshAfterUnauthorized: async (_server: McpServer, _by: Principal, refused?: Credential) => {
      if (refused?.kind === 'bearer') counts.refreshes += 1
      return settings.renewed ?? bearer
    },
    signInUrl: async ({ connectionId }: Bearer, { tenant }: Principal) =>
      `${tenant.issuer}/connect/${connectionId}`,
    noteInsufficientScope: async (_used: Bearer, _tenant: Tenant, refused: Refused) => {
      counts.notes.push(`${refused.operation}: ${refused.scope}`)
      return settings.stepUp ?? ({ kind: 'sign_in' } as const)
    },
    noteSufficientScope: async (_used: Bearer, _tenant: Tenant, operation: string) => {
      counts.notes.push(`${operation} went through`)
    },
  }
  return { credentials, counts }
}

const keyring = createKeyring({ random: systemRandom }, [{ id: 'key1', key: new Uint8Array(32) }])

/** Alice's and Bob's tokens are good for `/notes/mcp` and `/other/mcp`, and Alice's for `/mcp`. */
function principalOf(
  token: Secret,
  resource: string,
  { scopes = ['mcp'], callContentDays }: RigSettings,
) {
  const users: Readonly<Record<string, string>> = { [aliceToken]: 'alice', [bobToken]: 'bob' }
  const name = users[token.reveal()]
  const isKnown = ['/notes/mcp', '/other/mcp', '/mcp'].some(
    (path) => resource === `${tenant.issuer}${path}`,
  )
  if (name === undefined || !isKnown) return undefined
  const caller = makePrincipal(name, { resource, scopes })
  return callContentDays === undefined
    ? caller
    : verifiedPrincipal<TokenPrincipal>({ ...caller, tenant: { ...tenant, callContentDays } })
}

/** A verified caller. */
export function makePrincipal(
  name: string,
  { resource, scopes }: { readonly resource: string; readonly scopes: readonly string[] },
): TokenPrincipal {
  return verifiedPrincipal<TokenPrincipal>({
    kind: 'token',
    tenant,
    user: {
      id: `usr_${name}`,
      tenantId: tenant.id,
      email: `${name}@example.com`,
      emailVerified: true,
      name,
      role: 'user',
    },
    clientId: 'mcp_oauth_1',
    grantId: 'grt_1',
    scopes,
    resource,
  })
}

const databaseOfOneTransaction = {
  transaction: () => ({ execute: (work: (tx: unknown) => Promise<void>) => work({}) }),
} as unknown as Database // the recorder uses nothing else of it

function sendTo(origin: string, method: string, init: PostInit): Promise<Response> {
  const { token = aliceToken, slug = 'notes', query = '', headers = {}, signal, raw } = init
  return fetch(`${origin}/${slug}/mcp${query}`, {
    method,
    headers: { ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...headers },
    ...(raw === undefined ? {} : { body: raw }),
    ...(signal === undefined ? {} : { signal }),
  })
}

const bodies = new WeakMap<IncomingMessage, string>()

/** What came with a request to the upstream. */
export function bodyOf(request: IncomingMessage): string {
  return bodies.get(request) ?? ''
}

function watch(seen: SeenRequest[], listener: RequestListener): RequestListener {
  return (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method = '', url = '', headers } = request
      const body = Buffer.concat(chunks).toString()
      bodies.set(request, body)
      seen.push({ method, url, headers, body })
      listener(request, response)
    })
  }
}

const answerTools: RequestListener = (_request, response) => {
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ jsonrpc: '2.0', id: 7, result: { tools: [] } }))
}

/** Serves on a free port until the test is over. */
export async function listen(t: TestContext, server: RequestListener | Server): Promise<string> {
  const listening = typeof server === 'function' ? createServer(server) : server
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    listening.closeAllConnections()
    listening.close()
  })
  const { port } = listening.address() as AddressInfo // it listens on TCP
  return `http://127.0.0.1:${port}`
}
