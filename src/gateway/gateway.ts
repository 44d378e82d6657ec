// The gateway: MCP in, MCP out. The order of the steps is the design: nothing is read or written about a person before
// the token is verified, and nothing of the call is sent on before policy has agreed.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { Credentials } from '../connectors/credential.ts'
import type { Server, Servers } from '../connectors/servers.ts'
import type { Scopes } from '../issuer/scope-registry.ts'
import type { CallContents } from '../journal/call-contents.ts'
import type { CallCounts } from '../journal/call-counts.ts'
import type { Journal } from '../journal/entries.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { Answer } from './answers.ts'
import { faultAnswer, headerMismatch, notRpc, send, staleState, wrongMethod } from './answers.ts'
import { readBody } from './body.ts'
import { refuseStranger, tooManyCalls } from './call-limits.ts'
import type { Call } from './calls.ts'
import { bodylessCall, readCall } from './calls.ts'
import type { Era } from './eras.ts'
import { eraOf } from './eras.ts'
import type { CalledAt } from './own.ts'
import type { OlderClients } from './older-clients.ts'
import { createOwnEndpoint } from './own-endpoint.ts'
import type { OwnToolNeeds } from './own-tools.ts'
import { exactBody, namesTheSame } from './exact-body.ts'
import { overhear } from './overhear.ts'
import type { Overheard } from './overhear.ts'
import { createOpenStreams } from './open-streams.ts'
import { policyFor } from './policy.ts'
import {
  foreignOrigin,
  isOwnOrigin,
  personNeeded,
  protectEndpoint,
  protectResource,
  refusalOf,
} from './protection.ts'
import type { DescribedResource, Guarded, ProtectionNeeds } from './protection.ts'
import { createRefusals } from './refusals.ts'
import type { NoteRefusal, RefusalNeeds } from './refusals.ts'
import { createRequestStates } from './request-state.ts'
import type { RequestStates } from './request-state.ts'
import { createRecorder } from './recorder.ts'
import type { CallRecord, Recorder } from './recorder.ts'
import type { Ending, ServerCallNeeds } from './server-call.ts'
import { callServer } from './server-call.ts'
import type { RequireReading } from './reading-only.ts'
import { createSessionBinding } from './sessions.ts'
import { createSignInAsk } from './sign-in-ask.ts'
import { createTransports } from './transports.ts'
import { toFault } from './unexpected.ts'

export interface Gateway {
  /** Serves `/{slug}/mcp` on Node's own streams. Never throws; the response is ended or destroyed. */
  readonly serve: (
    request: IncomingMessage,
    response: ServerResponse,
    at: ServedAt,
  ) => Promise<void>
  /** Serves `/mcp`, our own tools. */
  readonly own: (request: Request, at: CalledAt) => Promise<Response>
  /** The protected resource metadata of one of our endpoints (RFC 9728 §2). */
  readonly resourceMetadata: (
    tenant: Tenant,
    resource: DescribedResource,
  ) => Record<string, unknown>
  /** Writes what is still to be journalled, and ends our own server's streams. */
  readonly close: () => Promise<void>
}

/** What the listener knows of a call. */
export interface ServedAt extends CalledAt {
  readonly slug: string
}

interface Needs extends ProtectionNeeds {
  readonly scopes: Pick<Scopes, 'all'>
  readonly credentials: Credentials
  readonly grants: ServerCallNeeds['grants']
  readonly servers: Pick<Servers, 'bySlug' | 'noteTransport' | 'usable' | 'scopesInUse'>
  readonly connections: OwnToolNeeds['connections']
  readonly support: OwnToolNeeds['support']
  readonly outbound: ServerCallNeeds['outbound']
  readonly keyring: Keyring
  readonly random: Random
  readonly db: Database
  readonly journal: Pick<Journal, 'record' | 'subscribe' | 'head'>
  readonly notes: RefusalNeeds['notes']
  readonly traces: RefusalNeeds['traces']
  readonly attempts: RefusalNeeds['attempts']
  readonly callCounts: Pick<CallCounts, 'add'>
  readonly callContents: Pick<CallContents, 'newId' | 'keep'>
  readonly log: Log
}

interface Settings {
  /** How long a server may think before its answer begins. */
  readonly answerTimeMs?: number
  /** How long it may think when it is asked for a list of what it offers. */
  readonly listTimeMs?: number
}

const defaultAnswerTimeMs = 120_000
const defaultListTimeMs = 10_000

/** Makes the gateway. */
export function createGateway(
  needs: Needs,
  { answerTimeMs = defaultAnswerTimeMs, listTimeMs = defaultListTimeMs }: Settings = {},
): Gateway {
  const { log } = needs
  const recorder = createRecorder(needs)
  const streams = createOpenStreams(needs)
  const noteRefusal = createRefusals(needs)
  const states = createRequestStates(needs)
  const sessions = createSessionBinding(needs)
  const askSignIn = createSignInAsk({ ...needs, states })
  const asking = { sessions, states, askSignIn }
  const parts = { ...needs, ...asking, recorder, noteRefusal, listTimeMs, answerTimeMs }
  const { own, olderClients, requireReading } = createOwnEndpoint(parts)
  const run = createRun({
    ...needs,
    recorder,
    noteRefusal,
    streams,
    ...asking,
    transports: createTransports(needs),
    requireReading,
    olderClients,
    answerTimeMs,
  })

  const admit = createAdmit(needs, { noteRefusal, run })

  return {
    serve: async (request, response, at) => {
      const ending = await endingOf(log, async () => {
        const answer = await admit({ request, response, ...at })
        return answer === undefined ? { kind: 'passed', status: 0 } : { kind: 'answer', answer }
      })
      if (ending.kind === 'answer') send(response, ending.answer)
    },
    own: own.serve,
    resourceMetadata: (tenant, resource) => protectResource(needs, tenant, resource).metadata(),
    close: async () => {
      await own.close()
      await olderClients.close()
      streams.close()
      await recorder.close()
    },
  }
}

/** Makes what lets a verified caller through to a server, and tells everybody else why not. */
function createAdmit(
  needs: Needs,
  { noteRefusal, run }: { readonly noteRefusal: NoteRefusal; readonly run: Run },
): (visit: Visit) => Promise<Answer | undefined> {
  return async (visit) => {
    const { request, response, tenant, slug, visitor } = visit
    const method = methodOf(request)
    if (method === undefined) return wrongMethod()
    if (!isOwnOrigin(request.headers.origin, tenant)) return faultAnswer(foreignOrigin())
    const server = await needs.servers.bySlug(tenant, slug)
    if (server === undefined) {
      return refuseStranger(visit.limits, faultAnswer(noSuchServer()), method)
    }
    const policy = await policyFor(server, () => needs.scopes.all(tenant))
    const { usualScopes: scopes } = policy
    const protection = protectEndpoint(needs, { tenant, slug, scopes })
    const verdict = await protection.guard(request)
    if (verdict.kind === 'refused') {
      noteRefusal({ tenant, slug, request, visitor, refusal: verdict })
      return refuseStranger(visit.limits, verdict, method)
    }
    // Whatever answers: Node puts them beside the fields that the answer has of its own.
    response.setHeaders(new Map(Object.entries(verdict.headers)))
    const { principal, scheme } = verdict
    return run({ ...visit, method, server, protection, policy, principal, scheme })
  }
}

/** Makes what runs a call of a verified caller, and records how it ended. */
function createRun(needs: RunNeeds): Run {
  const { clock, log } = needs
  return async (visit: VerifiedVisit): Promise<Answer | undefined> => {
    const startedAt = clock.now()
    const { request, method, principal, server } = visit
    const body = method === 'POST' ? await readBody(request) : undefined
    const call = callOf(visit, body)
    if (call === undefined) return notRpc()
    const tooMany = await countCall(visit, call)
    // It is not journalled call by call: that would let whoever calls too often fill the journal.
    if (tooMany !== undefined) return tooMany
    if (principal.user === undefined) return refuseProgram(needs, visit, call)
    const era = eraOf(versionOf(request), call)
    if (isMismatch(request, call, era)) return headerMismatch(call)
    const sent = bodyFor(visit, call, body)
    if (sent === 'ambiguous') return notRpc()
    const overheard = overhear(principal, call, body)
    const work = () => finish(needs, visit, { call, era, body: sent, overheard })
    const ending = await endingOf(log, work, call)
    if (ending.kind === 'answer') overheard?.say(ending.answer.body)
    const content = overheard?.content()
    needs.recorder.record({ principal, server, call, era, startedAt, content, ...factsOf(ending) })
    return ending.kind === 'answer' ? ending.answer : undefined
  }
}

interface RunNeeds extends ServerCallNeeds, Pick<Needs, 'clock'> {
  readonly recorder: Recorder
  readonly noteRefusal: NoteRefusal
  readonly states: RequestStates
  readonly requireReading: RequireReading
  readonly olderClients: OlderClients
}

/** It is noted like a stranger's refusal: that finds the attempt of a program, whose grant has none. */
function refuseProgram({ noteRefusal }: RunNeeds, visit: VerifiedVisit, call: Call): Answer {
  const { tenant, slug, request, visitor, principal } = visit
  const refusal = personNeeded(visit, call)
  const because = 'the client acts for itself, and a server is reached for a person'
  const caller = { clientId: principal.clientId, because }
  noteRefusal({ tenant, slug, request, visitor, refusal, caller })
  return refusal
}

async function finish(needs: RunNeeds, visit: VerifiedVisit, asked: Asked): Promise<Ending> {
  const { call, era } = asked
  const answer = refusalOf(visit, call)
  if (answer !== undefined) return { kind: 'answer', answer }
  const resumed = era === 'modern' ? needs.states.resume(visit, asked) : untouched
  if (resumed.kind === 'refused') return { kind: 'answer', answer: staleState(call) }
  const instead = await needs.requireReading(visit, call)
  if (instead !== undefined) return { kind: 'answer', answer: instead }
  const verified = { ...visit, ...asked, ...resumed, isOffered: offersFor(visit, call) }
  const isOlder = era === 'legacy' && needs.olderClients.isOurs(visit.request)
  const ending = isOlder ? withoutSessions : await callServer(needs, verified)
  return ending.kind === 'without_sessions' ? needs.olderClients.serve(verified) : ending
}

const untouched = { kind: 'untouched' } as const
const withoutSessions = { kind: 'without_sessions' } as const

interface Visit extends ServedAt {
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

interface VerifiedVisit extends Visit, Guarded {
  readonly method: Method
  readonly server: Server
}

interface Asked {
  readonly call: Call
  readonly era: Era
  readonly body: Buffer | undefined
  readonly overheard: Overheard | undefined
}

type Method = 'GET' | 'POST' | 'DELETE'

type Run = (visit: VerifiedVisit) => Promise<Answer | undefined>

function methodOf({ method }: IncomingMessage): Method | undefined {
  return method === 'GET' || method === 'POST' || method === 'DELETE' ? method : undefined
}

function callOf({ request, method }: VerifiedVisit, body: Buffer | undefined) {
  if (body === undefined) return bodylessCall(method)
  if (!/^application\/json\s*(?:;|$)/i.test(request.headers['content-type'] ?? '')) {
    throw new Fault('unsupported_media_type', { because: 'MCP messages are application/json' })
  }
  return readCall(body.toString())
}

/** Counts a call and says on the answer how much is left; the refusal of one that is too much. */
async function countCall(
  { limits, response, principal }: VerifiedVisit,
  call: Call,
): Promise<Answer | undefined> {
  const counted = await limits.call(principal, call.messages ?? 1)
  const tooMany = tooManyCalls(counted, call)
  if (tooMany !== undefined) return tooMany
  response.setHeaders(new Map(Object.entries(counted.fields)))
  return undefined
}

/** Whoever stands between reads the headers, the server reads the body: they have to say the same. */
function isMismatch({ headers }: IncomingMessage, call: Call, era: Era): boolean {
  const isModern = era === 'modern' || call.claimedVersion !== undefined
  return isModern && !namesTheSame(headers, call)
}

/** Where tools are opened one by one, the server must read the same call as we did. */
function bodyFor({ server, request }: VerifiedVisit, call: Call, body: Buffer | undefined) {
  const isPlain = server.toolScopes === undefined && server.toolPolicy === undefined
  if (body === undefined || isPlain) return body
  const exact = namesTheSame(request.headers, call) ? exactBody(body) : undefined
  return exact ?? 'ambiguous'
}

/** The answers that may list tools: to that question, to a batch, and on a stream that goes on with earlier ones. */
const listing = new Set(['tools/list', '(batch)', 'GET'])

function offersFor({ policy, principal }: VerifiedVisit, { method }: Call) {
  return listing.has(method) ? policy.offers?.(principal) : undefined
}

function versionOf(request: IncomingMessage): string | undefined {
  const version = request.headers['mcp-protocol-version']
  return typeof version === 'string' ? version : undefined
}

/** The status is what the client got; a reason says that it was not the server's own answer. */
function factsOf(ending: Ending): Pick<CallRecord, 'status' | 'reason' | 'because' | 'shared'> {
  const shared = ending.shared === undefined ? {} : { shared: ending.shared }
  if (ending.kind === 'passed') return { status: ending.status, ...shared }
  const { status } = ending.kind === 'broken' ? ending : ending.answer
  if (ending.kind === 'broken') {
    return { status, reason: 'broken_off', because: ending.because, ...shared }
  }
  const { reason, because } = ending.answer
  return {
    status,
    ...shared,
    ...(reason === undefined ? {} : { reason }),
    ...(because === undefined ? {} : { because }),
  }
}

/** The gateway answers on raw streams, so what is thrown on the way becomes an answer here. */
async function endingOf(log: Log, work: () => Promise<Ending>, call?: Call): Promise<Ending> {
  try {
    return await work()
  } catch (thrown) {
    const fault = toFault(thrown)
    const facts = { code: fault.code, because: fault.because, cause: fault.cause }
    if (fault.code === 'internal') log.error(facts, 'a call failed')
    else log.info(facts, 'a call was refused')
    return { kind: 'answer', answer: faultAnswer(fault, call) }
  }
}

function noSuchServer(): Fault {
  return new Fault('not_found', { because: 'this tenant has no such server' })
}
