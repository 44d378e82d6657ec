// All servers that a person may use as one: their lists put together, and each call led to the server whose it is. One that
// is down, slow or not connected is missing for the moment and hides none of the others.
import {
  ProtocolError,
  ProtocolErrorCode,
  ResourceNotFoundError,
} from '@modelcontextprotocol/server'
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Log } from '../base/log.ts'
import { isOpenTo } from '../connectors/server-access.ts'
import type { Server, Servers } from '../connectors/servers.ts'
import { toolNameFor } from '../connectors/tool-names.ts'
import type { Scopes } from '../issuer/scope-registry.ts'
import type { TokenPrincipal } from '../people/principal.ts'
import { faultAnswer } from './answers.ts'
import type { Answer, Connect } from './answers.ts'
import type { Era } from './eras.ts'
import { isJsonObject } from './exact-json.ts'
import { inGroups } from './in-groups.ts'
import { overhearQuestion } from './overhear.ts'
import type { Overheard } from './overhear.ts'
import { askPatiently, createPatience } from './patience.ts'
import { policyFor } from './policy.ts'
import type { Policy } from './policy.ts'
import type { RequireReading } from './reading-only.ts'
import type { Recorder } from './recorder.ts'
import { listMethods } from './server-lists.ts'
import type { Kind, MissingReply, ServerLists } from './server-lists.ts'
import { errorFor, errorIn, questionIn, resultOf } from './rpc-replies.ts'
import { isHashed, readName, readUri, uriFor, withOurUris } from './shared-names.ts'
import type { Owned } from './shared-names.ts'
import { toFault } from './unexpected.ts'
import { callOf } from './upstream-call.ts'
import type { AskServer, Reply } from './upstream-call.ts'
import type { Message } from '../connectors/post-message.ts'

/** One request at `/mcp`, as far as servers are about it. */
export interface Visit {
  readonly principal: TokenPrincipal
  readonly era: Era
  /** Ends when the client leaves or cancels. */
  readonly signal: AbortSignal
  /** Header fields of the request that a server of the newer era checks. */
  readonly fields: Readonly<Record<string, string>>
  /** Whose it is, where that is known already. */
  readonly target?: Target | undefined
  /** Told that a server is asked, and that this is recorded. */
  readonly routed?: () => void
  /** Asks whoever calls to sign in at a server, where their client can show it. */
  readonly askSignIn?: ((server: Server, connect: Connect) => Answer) | undefined
  /** What the client can be asked by a server (MCP 2026-07-28, "Multi Round-Trip Requests"). */
  readonly capabilities?: Message | undefined
  /** Told what the server says on the way. */
  readonly notified?: ((notification: Message) => void) | undefined
}

/** A server that is not in a list, and why. */
export interface Missing {
  readonly server: string
  readonly reason: string
  /** Where the person connects their account, if that helps. */
  readonly connectUrl?: string
}

export interface Target {
  readonly server: Server
  readonly policy: Policy
  /** What the server itself calls it. */
  readonly own: string
}

export interface Aggregate {
  readonly list: (
    kind: Kind,
    visit: Visit,
  ) => Promise<{ readonly items: readonly Message[]; readonly missing: readonly Missing[] }>
  /** Throws a ProtocolError with the server's error, or with ours in its place. */
  readonly route: (method: RoutedMethod, params: Message, visit: Visit) => Promise<Message>
  /** Whose a request is; undefined where it is nobody's, or nobody's that the caller may use. */
  readonly targetOf: (
    method: string,
    params: Message,
    visit: Pick<Visit, 'principal' | 'signal'>,
  ) => Promise<Target | undefined>
}

export type RoutedMethod = 'tools/call' | 'prompts/get' | 'resources/read' | 'completion/complete'

interface Needs {
  readonly servers: Pick<Servers, 'usable' | 'bySlug'>
  readonly scopes: Pick<Scopes, 'all'>
  readonly lists: ServerLists
  readonly askServer: AskServer
  readonly requireReading: RequireReading
  readonly recorder: Recorder
  readonly clock: Clock
  readonly log: Log
  readonly listTimeMs: number
  readonly answerTimeMs: number
}

/** Makes it for all tenants. */
export function createAggregate(needs: Needs): Aggregate {
  return {
    list: (kind, visit) => listAll(needs, kind, visit),
    route: (method, params, visit) => route(needs, { method, params }, visit),
    targetOf: (method, params, visit) => targetOf(needs, { method, params }, visit),
  }
}

/** How many servers are asked at once for one list. */
const askedAtOnce = 16

async function listAll(needs: Needs, kind: Kind, visit: Visit) {
  const { principal } = visit
  // A server is reached for a person; a program that acts for itself has our own tools.
  const servers = principal.user === undefined ? [] : await needs.servers.usable(principal)
  const parts = await inGroups(servers, askedAtOnce, (server) =>
    listOne(needs, kind, server, visit),
  )
  return {
    items: parts.flatMap(({ items }) => items),
    missing: parts.flatMap(({ missing }) => missing ?? []),
  }
}

interface Part {
  readonly items: readonly Message[]
  readonly missing?: Missing
}

async function listOne(needs: Needs, kind: Kind, server: Server, visit: Visit): Promise<Part> {
  const { principal } = visit
  const policy = await policyFor(server, () => needs.scopes.all(principal.tenant))
  const isOpen = kind === 'tools' || mayDo(policy, principal, listMethods[kind])
  if (!isOpen) return { items: [] }
  const patience = createPatience(needs.listTimeMs, visit.signal)
  try {
    const { signal } = patience
    const listed = await patience.within(needs.lists.list(kind, { server, principal, signal }))
    if (listed.kind === 'missing') return { items: [], missing: missingOf(server, listed.reply) }
    return { items: itemsOf(kind, { server, policy, principal }, listed.items) }
  } catch (thrown) {
    const fault = toFault(thrown)
    needs.log.info({ server: server.slug, because: fault.because }, 'a server is not in the list')
    return { items: [], missing: { server: server.slug, reason: fault.code } }
  } finally {
    patience.end()
  }
}

function mayDo(policy: Policy, principal: TokenPrincipal, method: string): boolean {
  return policy.decide(principal, { id: null, method, wantsAnswer: true }).kind === 'allowed'
}

function missingOf({ slug }: Server, reply: MissingReply): Missing {
  if (reply.kind === 'error') return { server: slug, reason: 'server_error' }
  const { reason = 'server_unreachable' } = reply.answer
  const { connectUrl } = errorIn(reply.answer).data
  return {
    server: slug,
    reason,
    ...(typeof connectUrl === 'string' ? { connectUrl } : {}),
  }
}

interface Offering {
  readonly server: Server
  readonly policy: Policy
  readonly principal: TokenPrincipal
}

function itemsOf(
  kind: Kind,
  { server: { slug }, policy, principal }: Offering,
  items: readonly Message[],
): readonly Message[] {
  const isOffered = policy.offers?.(principal)
  const isOpen = (item: Message) =>
    kind !== 'tools' || isOffered === undefined || isOffered(String(item['name']), item)
  return items.filter(isOpen).map((item) => ours(kind, slug, item))
}

/** As it is called here; where it is from stands beside it. */
function ours(kind: Kind, slug: string, item: Message): Message {
  const meta = isJsonObject(item['_meta']) ? item['_meta'] : {}
  const from = { _meta: { ...meta, [serverKey]: slug } }
  const { name, uri, uriTemplate } = item
  if (kind === 'resources') return { ...item, ...from, uri: uriFor(slug, String(uri)) }
  if (kind === 'resourceTemplates') {
    return { ...item, ...from, uriTemplate: uriFor(slug, String(uriTemplate)) }
  }
  return { ...item, ...from, name: toolNameFor(slug, String(name)) }
}

/** In the `_meta` of a listed thing: the slug of its server. */
const serverKey = 'latchkey/server'

interface Asked {
  readonly method: string
  readonly params: Message
}

async function targetOf(
  needs: Needs,
  asked: Asked,
  visit: Pick<Visit, 'principal' | 'signal'>,
): Promise<Target | undefined> {
  const { principal } = visit
  const named = namedIn(asked)
  if (named === undefined || principal.user === undefined) return undefined
  const server = await needs.servers.bySlug(principal.tenant, named.slug)
  if (server === undefined || !isOpenTo(server, principal.user)) return undefined
  const policy = await policyFor(server, () => needs.scopes.all(principal.tenant))
  const kind = hashedKinds[asked.method === 'completion/complete' ? 'prompts/get' : asked.method]
  const isLookedUp = kind !== undefined && named.isName && isHashed(named)
  const own = isLookedUp ? await lookUp(needs, kind, { server, named, visit }) : named.own
  return own === undefined ? undefined : { server, policy, own }
}

const hashedKinds: Readonly<Record<string, Kind>> = {
  'tools/call': 'tools',
  'prompts/get': 'prompts',
}

type Named = Owned & { readonly isName: boolean }

function namedIn({ method, params }: Asked): Named | undefined {
  const said = method === 'completion/complete' ? params['ref'] : params
  const { name, uri } = isJsonObject(said) ? said : {}
  const isName = typeof name === 'string'
  const owned = isName ? readName(name) : typeof uri === 'string' ? readUri(uri) : undefined
  return owned && { ...owned, isName }
}

/** What was cut or changed in its name stands in the server's list; else the name is the tool's own. */
async function lookUp(
  needs: Needs,
  kind: Kind,
  asked: {
    readonly server: Server
    readonly named: Owned
    readonly visit: Pick<Visit, 'principal' | 'signal'>
  },
): Promise<string | undefined> {
  const { server, named, visit } = asked
  const { slug, own } = named
  const whole = `mcp__${slug}__${own}`
  const items = await recalled(needs, kind, server, visit)
  const names = items.map(({ name }) => String(name))
  const found = names.find((name) => toolNameFor(slug, name) === whole)
  return found ?? (toolNameFor(slug, own) === whole ? own : undefined)
}

/** Throws the ProtocolError that stands in its place. */
async function recalled(
  needs: Needs,
  kind: Kind,
  server: Server,
  { principal, signal }: Pick<Visit, 'principal' | 'signal'>,
): Promise<readonly Message[]> {
  const patience = createPatience(needs.listTimeMs, signal)
  try {
    const asker = { server, principal, signal: patience.signal }
    const listed = await patience.within(needs.lists.recall(kind, asker))
    if (listed.kind === 'missing') throw errorFor(listed.reply)
    return listed.items
  } finally {
    patience.end()
  }
}

async function route(
  needs: Needs,
  asked: { readonly method: RoutedMethod; readonly params: Message },
  visit: Visit,
): Promise<Message> {
  const target = visit.target ?? (await targetOf(needs, asked, visit))
  if (target === undefined) throw nobodys(asked)
  visit.routed?.()
  const startedAt = needs.clock.now()
  const { server } = target
  const { principal, era } = visit
  const call = callOf({ method: asked.method, params: { name: target.own } })
  const question = {
    method: asked.method,
    params: ownParams(asked.method, asked.params, target.own),
  }
  const overheard = overhearQuestion(principal, question)
  const record = (facts: Pick<Answer, 'status' | 'reason' | 'because'>, reply?: Reply) =>
    needs.recorder.record({
      principal,
      server,
      call,
      era,
      startedAt,
      status: facts.status,
      content: overheard?.content(),
      ...(facts.reason === undefined ? {} : { reason: facts.reason }),
      ...(facts.because === undefined ? {} : { because: facts.because }),
      ...(reply?.shared === undefined ? {} : { shared: reply.shared }),
    })
  try {
    const reply = await askTarget(needs, question, { target, overheard }, visit)
    overheard?.say(textOf(reply))
    record(visit.signal.aborted ? brokenOff : factsOf(reply), reply)
    if (reply.kind === 'result') return finished(server, reply.result, visit)
    const toClient = questionIn(reply)
    if (toClient === undefined) throw errorFor(reply)
    return toClient
  } catch (thrown) {
    if (thrown instanceof ProtocolError) throw thrown
    const answer = faultAnswer(toFault(thrown))
    overheard?.say(answer.body)
    record(answer)
    throw errorFor({ kind: 'answer', answer })
  }
}

const brokenOff = { status: 200, reason: 'broken_off', because: 'the client left' }

/** As a message of JSON-RPC says it. */
function textOf(reply: Reply): string {
  if (reply.kind === 'answer') return reply.answer.body
  return JSON.stringify(reply.kind === 'result' ? { result: reply.result } : { error: reply.error })
}

function factsOf(reply: Reply): Pick<Answer, 'status' | 'reason' | 'because'> {
  return reply.kind === 'answer' ? reply.answer : { status: 200 }
}

async function askTarget(
  needs: Needs,
  { method, params }: { readonly method: RoutedMethod; readonly params: Message },
  { target, overheard }: { readonly target: Target; readonly overheard: Overheard | undefined },
  visit: Visit,
): Promise<Reply> {
  const { server, policy, own } = target
  const { principal, fields, notified, signal, askSignIn, capabilities } = visit
  const call = callOf({ method, params: { name: own } })
  const decision = policy.decide(principal, call)
  if (decision.kind === 'lacks') throw lacksScope(decision.scopes)
  if (decision.kind === 'closed') {
    throw new Fault('forbidden', { because: decision.because ?? 'no scope opens this tool' })
  }
  const instead = await needs.requireReading({ server, principal, policy }, call)
  if (instead !== undefined) return { kind: 'answer', answer: instead }
  return askPatiently(needs.askServer, needs.answerTimeMs, {
    server,
    principal,
    method,
    params,
    fields,
    capabilities,
    askSignIn: askSignIn && ((connect) => askSignIn(server, connect)),
    signal,
    notified,
    hide: overheard?.hide,
  })
}

function ownParams(method: RoutedMethod, params: Message, own: string): Message {
  if (method === 'resources/read') return { ...params, uri: own }
  if (method !== 'completion/complete') return { ...params, name: own }
  const ref = isJsonObject(params['ref']) ? params['ref'] : {}
  return { ...params, ref: 'uri' in ref ? { ...ref, uri: own } : { ...ref, name: own } }
}

/** What the server says of resources leads back to it; a question of its own is for a client that can be asked. */
function finished({ slug }: Server, result: Message, { capabilities }: Visit): Message {
  if (result['resultType'] === 'input_required' && capabilities !== undefined) return result
  const elsewhere = `This needs an answer that only a client can give which calls the server at /${slug}/mcp.`
  const { _meta: meta, ...others } = resultOf(result, elsewhere)
  return withOurUris(slug, { ...others, _meta: { ...(meta as Message), [serverKey]: slug } })
}

function lacksScope(scopes: readonly string[]): ProtocolError {
  const words = `This needs more permission: ${scopes.join(' ')}.`
  return new ProtocolError(-32_000, words, { reason: 'insufficient_scope', scopes })
}

/** MCP, "Error Handling": a server of others or none at all, it is the same to the caller. */
function nobodys({ method, params }: Asked): ProtocolError {
  const { uri, name } = params
  if (method === 'resources/read') return new ResourceNotFoundError(String(uri))
  const what = method === 'tools/call' ? 'tool' : 'prompt'
  const words = `There is no such ${what} here: ${String(name).slice(0, 128)}`
  return new ProtocolError(ProtocolErrorCode.InvalidParams, words)
}
