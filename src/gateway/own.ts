// The endpoint `/mcp`: the same guard and policy as in front of every server, and behind them all of the person's servers as
// one, with our own tools.
import type { Clock } from '../base/clock.ts'
import type { Servers } from '../connectors/servers.ts'
import type { Scopes } from '../issuer/scope-registry.ts'
import type { Visitor } from '../journal/attempts.ts'
import type { TokenPrincipal } from '../people/principal.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Aggregate, Target, Visit } from './aggregate.ts'
import type { Answer } from './answers.ts'
import { faultAnswer, notRpc, staleState, unknownSession } from './answers.ts'
import type { Builtin } from './builtin.ts'
import type { CallLimits } from './call-limits.ts'
import { refuseStranger, tooManyCalls } from './call-limits.ts'
import type { Call } from './calls.ts'
import { bodylessCall, readCall } from './calls.ts'
import type { Era } from './eras.ts'
import { eraOf } from './eras.ts'
import { isJsonObject } from './exact-json.ts'
import { sessionHeader } from './headers.ts'
import { overhear, overhearWeb } from './overhear.ts'
import type { Overheard } from './overhear.ts'
import type { OwnSessions } from './own-sessions.ts'
import type { RequestStates } from './request-state.ts'
import type { SessionOwner } from './sessions.ts'
import type { AskSignIn } from './sign-in-ask.ts'
import { onePolicy, scopesTogether } from './policy.ts'
import type { Refusal } from '../protect/index.ts'
import { foreignOrigin, isOwnOrigin, protectEndpoint, refusalOf } from './protection.ts'
import type { Guarded, ProtectionNeeds } from './protection.ts'
import type { NoteRefusal } from './refusals.ts'
import type { CallRecord, Recorder } from './recorder.ts'

/** What the door knows of a call. */
export interface CalledAt {
  readonly tenant: Tenant
  readonly limits: CallLimits
  /** Who comes, as far as can be told before they are verified. */
  readonly visitor: Visitor
}

export interface Own {
  readonly serve: (request: Request, at: CalledAt) => Promise<Response>
  readonly close: () => Promise<void>
}

interface Needs extends ProtectionNeeds {
  readonly builtin: Builtin
  readonly servers: Pick<Servers, 'scopesInUse'>
  readonly scopes: Pick<Scopes, 'all'>
  readonly aggregate: Pick<Aggregate, 'targetOf'>
  readonly sessions: OwnSessions
  readonly states: RequestStates
  readonly askSignIn: AskSignIn
  readonly recorder: Recorder
  readonly noteRefusal: NoteRefusal
  readonly clock: Clock
}

/** How our own server is called in the journal. */
const ownServer = { id: 'mcp', slug: 'mcp' } as const

function ownerOf(principal: TokenPrincipal): SessionOwner {
  return { principal, serverId: ownServer.id }
}

/** Makes the endpoint. */
export function createOwn(needs: Needs): Own {
  const protectOwn = (tenant: Tenant, scopes = onePolicy.usualScopes) =>
    protectEndpoint(needs, { tenant, slug: undefined, scopes })
  /** Whoever has no token is told to ask for what the servers understand, too. */
  const strangersGuard = async (tenant: Tenant, request: Request) => {
    const named = await needs.servers.scopesInUse(tenant)
    const registry = named.length === 0 ? [] : await needs.scopes.all(tenant)
    return protectOwn(tenant, scopesTogether(named, registry).usual).guard(request)
  }

  return {
    serve: async (request, { tenant, limits, visitor }) => {
      if (!isOwnOrigin(request.headers.get('origin'), tenant)) {
        return toResponse(faultAnswer(foreignOrigin()))
      }
      const protection = protectOwn(tenant)
      const first = await protection.guard(request)
      const isStranger = first.kind === 'refused' && request.headers.get('authorization') === null
      const verdict = isStranger ? await strangersGuard(tenant, request) : first
      if (verdict.kind === 'refused') {
        needs.noteRefusal({ tenant, slug: undefined, request, visitor, refusal: verdict })
        return toResponse(await refuseStranger(limits, verdict, request.method))
      }
      const guarded = { ...verdict, policy: onePolicy, protection }
      return withFields(await run(needs, request, guarded, limits), verdict.headers)
    },
    close: () => needs.builtin.close(),
  }
}

async function run(
  needs: Needs,
  request: Request,
  guarded: Guarded,
  limits: CallLimits,
): Promise<Response> {
  const { principal } = guarded
  const startedAt = needs.clock.now()
  const text = request.method === 'POST' ? await request.text() : undefined
  const call = text === undefined ? bodylessCall(request.method) : readCall(text)
  if (call === undefined) return toResponse(notRpc())
  const counted = await limits.call(principal, call.messages ?? 1)
  const tooMany = tooManyCalls(counted, call)
  if (tooMany !== undefined) return toResponse(tooMany)
  const era = eraOf(request.headers.get('mcp-protocol-version') ?? undefined, call)
  const body = text === undefined ? undefined : Buffer.from(text)
  const overheard = overhear(principal, call, body)
  const said = { call, era, body, message: messageIn(body), overheard }
  const asked = { request, guarded, ...said, startedAt }
  return withFields(await answerTo(needs, asked), counted.fields)
}

interface Asked {
  readonly request: Request
  readonly guarded: Guarded
  readonly call: Call
  readonly era: Era
  readonly body: Buffer | undefined
  /** What stands in the body. */
  readonly message: unknown
  readonly overheard: Overheard | undefined
  readonly startedAt: number
}

async function answerTo(needs: Needs, asked: Asked): Promise<Response> {
  const { request, guarded, call, era } = asked
  const { principal } = guarded
  const target = await targetIn(needs, asked)
  const refusal = refusalOf(guarded, call) ?? (target && refusalAt(guarded, call, target))
  const session = sessionOf(needs, asked)
  const resumed = resumedIn(needs, asked, target)
  const refused =
    refusal ??
    (session === 'unknown' ? unknownSession(call) : undefined) ??
    (resumed.kind === 'refused' ? staleState(call) : undefined)
  if (refused !== undefined) {
    asked.overheard?.say(refused.body)
    record(needs, asked, { status: refused.status, ...reasonOf(refused) }, target?.server)
    return toResponse(refused)
  }
  const sessionId = session === 'unknown' ? undefined : session.id
  if (sessionId !== undefined) needs.sessions.heed(sessionId, asked.message)
  const running = needs.sessions.running(sessionId, call)
  let isRouted = false
  const visit: Visit = {
    principal,
    era,
    signal: AbortSignal.any([request.signal, ...(running === undefined ? [] : [running.signal])]),
    fields: paramFields(request.headers),
    target,
    askSignIn: askingIn(needs, { ...asked, ...resumed }),
    routed: () => void (isRouted = true),
  }
  const message = resumed.kind === 'resumed' ? messageIn(resumed.body) : asked.message
  const answer = await needs.builtin.answer(request, visit, message)
  const response = asOurs(await overhearWeb(answer, asked.overheard))
  if (isHello(asked) && response.status === 200) {
    const facts = { opensUrls: call.opensUrls === true }
    response.headers.set(sessionHeader, needs.sessions.begin(ownerOf(principal), facts))
  }
  return whenOver(response, () => {
    running?.end()
    // What was led to a server is recorded there, under the name that it has there.
    if (!isRouted) record(needs, asked, { status: response.status })
  })
}

/** Undefined for what is ours, or nobody's; that it cannot be found out now is told by whoever needs it. */
async function targetIn({ aggregate }: Needs, asked: Asked): Promise<Target | undefined> {
  const { message, call, guarded, request } = asked
  const params = isJsonObject(message) && isJsonObject(message['params']) ? message['params'] : {}
  const { principal } = guarded
  // Nothing is asked anywhere for whom our own door is shut.
  if (guarded.policy.decide(principal, call).kind !== 'allowed') return undefined
  try {
    return await aggregate.targetOf(call.method, params, { principal, signal: request.signal })
  } catch {
    return undefined
  }
}

/** Where the scopes of the one server that is called are lacking: before anything is asked there, as a challenge. */
function refusalAt(guarded: Guarded, call: Call, { policy, own }: Target): Refusal | undefined {
  const { id, method, tool, wantsAnswer } = call
  const asked = { id, method, wantsAnswer, ...(tool === undefined ? {} : { tool: own }) }
  const decision = policy.decide(guarded.principal, asked)
  if (decision.kind !== 'lacks') return undefined
  const scopes = [...new Set([...onePolicy.usualScopes, ...decision.scopes])]
  const { protection, scheme } = guarded
  return protection.insufficientScope(scopes, { id, scheme })
}

/** readCall() has read it as JSON, or we wrote it. */
function messageIn(body: Buffer | undefined): unknown {
  return body === undefined ? undefined : JSON.parse(body.toString())
}

/** A retry of a call whose person was asked to sign in is again what it was; a state of the server's own stays. */
function resumedIn(
  { states }: Needs,
  { call, era, body, guarded }: Asked,
  target: Target | undefined,
): ReturnType<RequestStates['resume']> {
  const owner = target && { principal: guarded.principal, server: target.server }
  if (era !== 'modern' || owner === undefined) return { kind: 'untouched' }
  return states.resume(owner, { call, body })
}

function askingIn(
  { askSignIn }: Needs,
  { request, guarded, call, era, body, isDeclined }: Asked & { readonly isDeclined?: boolean },
): Visit['askSignIn'] {
  const headers = { [sessionHeader]: request.headers.get(sessionHeader) ?? undefined }
  const asked = { request: { headers }, principal: guarded.principal, call, era, body }
  return (server, connect) =>
    askSignIn({ ...asked, server, ...(isDeclined === undefined ? {} : { isDeclined }) }, connect)
}

function reasonOf({ reason }: { readonly reason?: string }) {
  return reason === undefined ? {} : { reason }
}

function record(
  { recorder }: Needs,
  { guarded, call, era, startedAt, overheard }: Asked,
  facts: Pick<CallRecord, 'status' | 'reason'>,
  server: CallRecord['server'] = ownServer,
): void {
  const { principal } = guarded
  const content = overheard?.content()
  recorder.record({ principal, server, call, era, startedAt, content, ...facts })
}

/** Since 2026-07-28 there are no sessions: an id that comes nevertheless is ignored (MCP 2026-07-28, R12). */
function sessionOf(
  { sessions }: Needs,
  { request, guarded, era }: Asked,
): { readonly id?: string } | 'unknown' {
  const id = request.headers.get(sessionHeader)
  if (id === null || era === 'modern') return {}
  return sessions.isTheirs(ownerOf(guarded.principal), id) ? { id } : 'unknown'
}

function isHello({ call, era }: Asked): boolean {
  return call.method === 'initialize' && era === 'legacy'
}

/** What a server of the newer era compares with the arguments (MCP 2026-07-28, "Custom Headers from Tool Parameters"). */
function paramFields(headers: Headers): Readonly<Record<string, string>> {
  return Object.fromEntries([...headers].filter(([name]) => name.startsWith('mcp-param-')))
}

function toResponse({ status, headers, body }: Answer): Response {
  return new Response(body === '' ? null : body, { status, headers })
}

function withFields(response: Response, fields: Readonly<Record<string, string>>): Response {
  for (const [name, value] of Object.entries(fields)) response.headers.set(name, value)
  return response
}

/** What one person got is nobody else's (RFC 9111 §3.5), and whether a connection stays is the listener's word alone. */
function asOurs(response: Response): Response {
  const headers = new Headers(response.headers)
  headers.set('cache-control', 'no-store')
  // RFC 9110 §7.6.1: a connection that is about to close must not be promised to stay.
  headers.delete('connection')
  return new Response(response.body, { status: response.status, headers })
}

/** Says when an answer is over: a stream of events goes on after its head. */
function whenOver(response: Response, over: () => void): Response {
  const { body, status, headers } = response
  const isStream = headers.get('content-type')?.startsWith('text/event-stream') ?? false
  if (body === null || !isStream) {
    over()
    return response
  }
  const reader = body.getReader()
  let isOver = false
  const end = () => {
    if (!isOver) over()
    isOver = true
  }
  const watched = new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      const { done, value } = await reader.read().catch((thrown: unknown) => {
        end()
        throw thrown
      })
      if (!done) return controller.enqueue(value)
      end()
      controller.close()
    },
    cancel: async (reason) => {
      end()
      await reader.cancel(reason)
    },
  })
  return new Response(watched, { status, headers })
}
