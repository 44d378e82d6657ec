// One verified call to one server: checks the session, gets the person's credential, sends the call, and once more after a
// 401 with a refreshed credential. What a server says about our credential becomes an answer of our own.
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { Fault } from '../base/fault.ts'
import type { Log } from '../base/log.ts'
import type { Outbound } from '../base/outbound.ts'
import { Secret } from '../base/secret.ts'
import type { Credential, Credentials } from '../connectors/credential.ts'
import type { Server } from '../connectors/servers.ts'
import type { Grants } from '../issuer/grants.ts'
import { bearerChallenge } from '../oauth/challenge.ts'
import type { TokenPrincipal } from '../people/principal.ts'
import type { Answer } from './answers.ts'
import {
  connectAnswer,
  emptyAnswer,
  faultAnswer,
  refusedUpstream,
  slowDown,
  unknownSession,
} from './answers.ts'
import type { Call } from './calls.ts'
import type { Era } from './eras.ts'
import { requestHeaders, responseHeaders, sessionHeader } from './headers.ts'
import type { OpenStreams } from './open-streams.ts'
import type { Outcome } from './proxy.ts'
import { forward } from './proxy.ts'
import type { SessionBinding } from './sessions.ts'

/** A call whose caller is verified. */
export interface VerifiedCall {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly principal: TokenPrincipal
  readonly server: Server
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly call: Call
  readonly era: Era
  readonly body: Buffer | undefined
  /** Which tools the caller is offered, where the answer may list some. */
  readonly isOffered?: ((tool: string) => boolean) | undefined
}

/** How a call ended: with the server's answer, which was sent, or with one of ours, which is still to be sent. */
export type Ending =
  | { readonly kind: 'passed'; readonly status: number }
  | { readonly kind: 'broken'; readonly status: number; readonly because: string }
  | { readonly kind: 'answer'; readonly answer: Answer }

/** The parts of a server call. */
export interface ServerCallNeeds {
  readonly credentials: Credentials
  readonly outbound: Pick<Outbound, 'dispatcher'>
  readonly sessions: SessionBinding
  readonly streams: Pick<OpenStreams, 'watch'>
  readonly grants: Pick<Grants, 'stands'>
  readonly log: Log
  /** How long a server may think before its answer begins. */
  readonly answerTimeMs: number
}

/** Runs a verified call to its end. */
export async function callServer(needs: ServerCallNeeds, verified: VerifiedCall): Promise<Ending> {
  const { credentials, log } = needs
  const { server, principal, call } = verified
  const session = sessionOf(needs, verified)
  if (session.kind === 'foreign') return answered(unknownSession(call))

  const credential = await credentials.credentialFor(server, principal)
  const outcome = await attempt(needs, verified, { credential, sessionId: session.id })
  if (credential.kind !== 'bearer' || !isUnauthorized(outcome)) {
    return conclude(needs, verified, { credential, outcome })
  }

  log.info({ server: server.slug }, 'the server refused the token; it is refreshed once')
  const renewed = await credentials.refreshAfterUnauthorized(server, principal, credential)
  const second = await attempt(needs, verified, { credential: renewed, sessionId: session.id })
  return conclude(needs, verified, { credential: renewed, outcome: second })
}

type Session = { readonly kind: 'theirs'; readonly id?: string } | { readonly kind: 'foreign' }

/** Since 2026-07-28 there are no sessions: an id that comes nevertheless is ignored (MCP 2026-07-28, R12). */
function sessionOf(
  { sessions }: ServerCallNeeds,
  { request, principal, server, era }: VerifiedCall,
): Session {
  const bound = request.headers[sessionHeader]
  if (bound === undefined || era === 'modern') return { kind: 'theirs' }
  const owner = { principal, serverId: server.id }
  const id = typeof bound === 'string' ? sessions.unbind(owner, bound) : undefined
  return id === undefined ? { kind: 'foreign' } : { kind: 'theirs', id }
}

interface Attempt {
  readonly credential: Credential
  readonly sessionId: string | undefined
}

type AttemptOutcome = Outcome | { readonly kind: 'not_connected'; readonly connectUrl: string }

async function attempt(
  { outbound, sessions, streams, credentials, grants, answerTimeMs }: ServerCallNeeds,
  { request, response, principal, server, method, body, isOffered }: VerifiedCall,
  { credential, sessionId }: Attempt,
): Promise<AttemptOutcome> {
  if (credential.kind === 'authorization_required') {
    return { kind: 'not_connected', connectUrl: credential.connectUrl }
  }
  const owner = { principal, serverId: server.id }
  return forward({
    outbound,
    outgoing: {
      url: server.url,
      method,
      headers: requestHeaders({
        incoming: request.headers,
        sessionId,
        credential: credentialHeaders(credential),
      }),
      body,
    },
    response,
    headersOf: (upstream) => responseHeaders(upstream, (id) => sessions.bind(owner, id)),
    answerTimeMs,
    isOffered,
    watch: (end) =>
      streams.watch({
        principal,
        serverId: server.id,
        connectionId: credential.kind === 'bearer' ? credential.connectionId : undefined,
        holds: async () =>
          (await grants.stands(principal.tenant, principal.grantId)) &&
          (await credentials.holds({ tenant: principal.tenant, server, credential })),
        end,
      }),
  })
}

function credentialHeaders(
  credential: Exclude<Credential, { kind: 'authorization_required' }>,
): Readonly<Record<string, Secret>> {
  if (credential.kind === 'none') return {}
  if (credential.kind === 'headers') return credential.headers
  return { authorization: new Secret(`Bearer ${credential.token.reveal()}`) }
}

function isUnauthorized(outcome: AttemptOutcome): boolean {
  return outcome.kind === 'held' && outcome.status === 401
}

interface Concluded {
  readonly credential: Credential
  readonly outcome: AttemptOutcome
}

function conclude(
  { log }: ServerCallNeeds,
  verified: VerifiedCall,
  { credential, outcome }: Concluded,
): Ending {
  const { server, call } = verified
  if (outcome.kind === 'passed') return outcome
  if (outcome.kind === 'broken') {
    log.info({ server: server.slug, because: outcome.because }, 'an answer was not sent to its end')
    return outcome
  }
  if (outcome.kind === 'failed') {
    log.warn({ server: server.slug, because: outcome.fault.because }, 'a server did not answer')
    return answered(faultAnswer(outcome.fault, call))
  }
  if (outcome.kind === 'not_connected') {
    const { connectUrl } = outcome
    const reason = 'authorization_required'
    return answered(connectAnswer(call, { serverName: server.name, connectUrl, reason }))
  }
  log.info({ server: server.slug, status: outcome.status }, 'a server’s answer was not passed on')
  return answered(heldAnswer(verified, credential, outcome))
}

function heldAnswer(
  { principal, server, call, method }: VerifiedCall,
  credential: Credential,
  { status, headers }: Extract<Outcome, { kind: 'held' }>,
): Answer {
  const missing = missingPermission(status, headers)
  if (missing !== undefined && credential.kind === 'bearer') {
    const { reason, query } = missing
    const connectUrl = `${principal.tenant.issuer}/connect/${credential.connectionId}${query}`
    return connectAnswer(call, { serverName: server.name, connectUrl, reason })
  }
  if (status === 429) return slowDown(call, headers['retry-after'])
  const isOver = method === 'DELETE' || !call.wantsAnswer
  if (status < 300 && isOver) return emptyAnswer(status)
  // Our own token is good: a 401 of ours would send the client to sign-in for nothing.
  const isClientError = status >= 400 && status < 500 && status !== 401 && status !== 407
  if (isClientError) return refusedUpstream(call, status, headers.allow)
  const because = `the server answered ${status} in a form that does not pass`
  return faultAnswer(new Fault('server_unreachable', { because }), call)
}

/** RFC 6750 §3.1: what the server says that our token for the person lacks. */
function missingPermission(status: number, headers: IncomingHttpHeaders): Missing | undefined {
  if (status === 401) return { reason: 'authorization_required', query: '' }
  if (status !== 403) return undefined
  const challenge = bearerChallenge(headers['www-authenticate'] ?? null)
  if (challenge?.error !== 'insufficient_scope') return undefined
  const { scope = '' } = challenge
  // The page asks for what is missing on top of what was asked for before (MCP authorization, "Step-Up").
  const isAskable = scope !== '' && scope.length <= scopeCharsMax
  const query = isAskable ? `?${new URLSearchParams({ scope }).toString()}` : ''
  return { reason: 'scope_insufficient', query }
}

const scopeCharsMax = 1000

interface Missing {
  readonly reason: 'authorization_required' | 'scope_insufficient'
  /** What the link to our page says besides. */
  readonly query: string
}

function answered(answer: Answer): Ending {
  return { kind: 'answer', answer }
}
