// The doors of the client half inside somebody else's app: where a sign-in begins and comes back to, and our client
// metadata documents with their keys. The app says who is signed in; these doors bind the browser. All other paths are the
// app's.
import { Fault } from '../base/fault.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { randomSecret } from '../base/random.ts'
import type { Connections, FinishedFlow } from '../connectors/connections.ts'
import type { Servers } from '../connectors/servers.ts'
import type { AppPrincipal } from '../people/principal.ts'
import type { Tenant } from '../people/tenants.ts'
import { publicDocument, redirect } from './answers.ts'
import { browserCookie, readCookie, writeCookie } from './cookies.ts'
import { asFault } from './errors.ts'
import { connectedPage, failedPage, refusedPage } from './pages/app-ends.ts'
import { returnAddress } from './return-address.ts'

/** Who comes, as the app says. */
export interface AppVisitor {
  readonly isSignedIn: boolean
  /** The person of ours, if they ever began to connect; asked only where that matters. */
  readonly person: () => Promise<AppPrincipal | undefined>
}

export interface AppDoors {
  /** Answers a request to a path of ours; undefined for any other. */
  readonly handle: (request: Request, visitor: AppVisitor) => Promise<Response | undefined>
  /** Takes the callback, for an app that answers it itself. Throws Fault('state_mismatch' | 'flow_expired' | …). */
  readonly finish: (request: Request, visitor: AppVisitor) => Promise<FinishedFlow>
}

interface Needs {
  readonly tenant: Tenant
  readonly random: Random
  readonly log: Log
  readonly connections: Connections
  readonly servers: Servers
}

/** Makes the doors; their paths begin with the path of the tenant's URL. */
export function createAppDoors(needs: Needs): AppDoors {
  const { tenant, log } = needs
  return {
    finish: (request, visitor) => finish(needs, request, visitor),

    // A HEAD must not spend what a GET is for.
    handle: async (request, visitor) => {
      const door = request.method === 'GET' ? findDoor(tenant, request) : undefined
      if (door === undefined) return undefined
      try {
        return await answer(needs, door, request, visitor)
      } catch (thrown) {
        const fault = asFault(thrown)
        const { code, because, cause } = fault
        const level = code === 'internal' ? 'error' : 'info'
        log[level]({ code, because, cause, door: door.kind }, 'a request was refused')
        return refusedPage(fault)
      }
    },
  }
}

type Door = { readonly kind: DoorKind; readonly name: string }
type DoorKind = (typeof kinds)[number]

const kinds = ['callback', 'document', 'keys', 'finished', 'start'] as const

const paths: Readonly<Record<DoorKind, RegExp>> = {
  callback: /^\/connect\/callback\/(?<name>[a-z0-9]{1,64})$/,
  document: /^\/connect\/client-metadata(?:\/(?<name>[a-z0-9]{1,64}))?\.json$/,
  keys: /^\/connect\/client-keys\/(?<name>[a-z0-9]{1,64})\.json$/,
  finished: /^\/connect\/finished\/(?<name>flw_[a-z0-9]{1,64})$/,
  start: /^\/connect\/(?<name>con_[a-z0-9]{1,64})$/,
}

function findDoor({ issuer }: Tenant, { url }: Request): Door | undefined {
  // The origin is not looked at: behind a proxy it may be another one.
  const { pathname } = new URL(url)
  const base = new URL(issuer).pathname.replace(/\/$/, '')
  if (!pathname.startsWith(`${base}/connect/`)) return undefined
  const path = pathname.slice(base.length)
  for (const kind of kinds) {
    const found = paths[kind].exec(path)
    if (found !== null) return { kind, name: found.groups?.['name'] ?? '' }
  }
  return undefined
}

async function answer(
  needs: Needs,
  { kind, name }: Door,
  request: Request,
  visitor: AppVisitor,
): Promise<Response> {
  if (kind === 'document') return clientDocument(needs, name)
  if (kind === 'keys') return clientKeys(needs, name)
  if (kind === 'callback') return showEnd(needs, await finish(needs, request, visitor))
  const person = await knownPerson(visitor)
  return kind === 'start'
    ? start(needs, person, { request, connectionId: name })
    : showFinished(needs, person, name)
}

async function knownPerson({ isSignedIn, person }: AppVisitor): Promise<AppPrincipal> {
  if (!isSignedIn) throw new Fault('not_signed_in', { because: 'nobody is signed in at the app' })
  const known = await person()
  if (known !== undefined) return known
  throw new Fault('not_found', { because: 'this user never began to connect to anything' })
}

async function clientDocument({ servers, tenant }: Needs, context: string): Promise<Response> {
  const document = await servers.clientDocument(tenant, context === '' ? undefined : context)
  if (document === undefined) throw new Fault('not_found', { because: 'no such context' })
  return publicDocument(document)
}

/** What `jwks_uri` of a context's document names. */
async function clientKeys({ servers, tenant }: Needs, context: string): Promise<Response> {
  const keys = await servers.clientKeys(tenant, context)
  if (keys === undefined) throw new Fault('not_found', { because: 'no key of this context' })
  return publicDocument(keys)
}

/** Gives the flow to this browser of its own user, and sends it on to the provider. */
async function start(
  { connections, random, tenant }: Needs,
  person: AppPrincipal,
  { request, connectionId }: { readonly request: Request; readonly connectionId: string },
): Promise<Response> {
  const flowId = new URL(request.url).searchParams.get('flow')
  if (flowId === null) throw new Fault('not_found', { because: 'the address names no flow' })
  const known = readCookie(tenant, request, browserCookie)
  const browser = known ?? randomSecret(random)
  const bound = await connections.authorize(person, connectionId, { flowId, browser })
  if ('alreadyAuthorized' in bound) throw new Error('a flow that is carried on is not over')
  return redirect(
    bound.authorizeUrl,
    302,
    known === undefined ? [writeCookie(tenant, browserCookie, browser)] : [],
  )
}

async function finish(
  { connections, tenant }: Needs,
  request: Request,
  visitor: AppVisitor,
): Promise<FinishedFlow> {
  const door = findDoor(tenant, request)
  if (door?.kind !== 'callback') {
    throw new Fault('not_found', { because: 'this is not the address of a callback' })
  }
  return connections.finish({
    tenant,
    context: door.name,
    query: new URL(request.url).searchParams,
    browser: readCookie(tenant, request, browserCookie),
    session: await visitor.person(),
  })
}

function showEnd({ tenant }: Needs, finished: FinishedFlow): Response | Promise<Response> {
  if (finished.returnTo !== undefined) {
    return redirect(returnAddress(finished.returnTo, finished), 302)
  }
  if (finished.kind === 'failed') return failedPage(tenant, finished)
  // Away from the address that holds the code: loading that again could only say that it was used.
  return redirect(`${tenant.issuer}/connect/finished/${finished.flowId}`, 302)
}

async function showFinished(
  { connections, tenant }: Needs,
  person: AppPrincipal,
  flowId: string,
): Promise<Response> {
  const { status, connectionId } = await connections.flow(person, flowId)
  if (status !== 'completed') throw new Fault('not_found', { because: 'the flow has not ended' })
  const { serverName } = await connections.get(person, connectionId)
  return connectedPage(tenant, { flowId, connectionId, serverName })
}
