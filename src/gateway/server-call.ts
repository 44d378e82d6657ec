// One verified call to one server: gets the person's credential, checks the session, sends the call, and once more after a
// 401 with a refreshed credential. What a server says about our credential becomes an answer of our own.
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { Log } from '../base/log.ts'
import type { Outbound } from '../base/outbound.ts'
import type { Credential, Credentials } from '../connectors/credential.ts'
import type { Shown } from '../connectors/present.ts'
import type { Server } from '../connectors/servers.ts'
import type { Grants } from '../issuer/grants.ts'
import type { TokenPrincipal } from '../people/principal.ts'
import type { Answer, Connect } from './answers.ts'
import { faultAnswer, unknownSession } from './answers.ts'
import type { Call } from './calls.ts'
import { connectionWish } from './connection-wish.ts'
import type { Era } from './eras.ts'
import { heldAnswer, notePassed } from './held-answer.ts'
import { requestHeaders, responseHeaders, sessionHeader } from './headers.ts'
import { identityHeaders } from './identity-headers.ts'
import type { OpenStreams } from './open-streams.ts'
import type { Overheard } from './overhear.ts'
import type { IsOffered } from './policy.ts'
import type { Outcome, Outgoing } from './proxy.ts'
import { forward, passDoubted } from './proxy.ts'
import { sessionOpensUrls } from './sessions.ts'
import type { SessionBinding, SessionFacts, SessionOwner } from './sessions.ts'
import type { AskSignIn } from './sign-in-ask.ts'
import { forwardOverSse } from './sse-call.ts'
import type { Transports, WithoutSessions } from './transports.ts'

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
  /** The person was asked to sign in by this very call, and would rather not. */
  readonly isDeclined?: boolean
  /** Which tools the caller is offered, where the answer may list some. */
  readonly isOffered?: IsOffered | undefined
  /** Listens to what is said, where the tenant keeps it. */
  readonly overheard?: Overheard | undefined
}

/** How a call ended: with the server's answer, which was sent, or with one of ours, which is still to be sent. */
export type Ending = (
  | { readonly kind: 'passed'; readonly status: number }
  | { readonly kind: 'broken'; readonly status: number; readonly because: string }
  | { readonly kind: 'answer'; readonly answer: Answer }
) & { readonly shared?: SharedUse }

/** Another person's connection that a call used, for the journal. */
export interface SharedUse {
  readonly id: string
  readonly ownerId: string
}

/** The parts of a server call. */
export interface ServerCallNeeds {
  readonly credentials: Credentials
  readonly outbound: Pick<Outbound, 'dispatcher'>
  readonly sessions: SessionBinding
  readonly streams: Pick<OpenStreams, 'watch'>
  readonly grants: Pick<Grants, 'stands'>
  readonly transports: Transports
  readonly askSignIn: AskSignIn
  readonly log: Log
  /** How long a server may think before its answer begins. */
  readonly answerTimeMs: number
}

/** Runs a verified call to its end. */
export async function callServer(
  needs: ServerCallNeeds,
  verified: VerifiedCall,
): Promise<Ending | WithoutSessions> {
  const { credentials, log } = needs
  const { server, principal } = verified
  const wish = connectionWish(verified.request)
  const credential = await credentials.credentialFor(server, principal, wish)
  const outcome = await attempt(needs, verified, credential)
  if (credential.kind !== 'bearer' || !isUnauthorized(outcome)) {
    return conclude(needs, verified, { credential, outcome })
  }

  log.info({ server: server.slug }, 'the server refused the token; it is refreshed once')
  const renewed = await credentials.refreshAfterUnauthorized(server, principal, credential, wish)
  const second = await attempt(needs, verified, renewed)
  return conclude(needs, verified, { credential: renewed, outcome: second })
}

type Session =
  | { readonly kind: 'theirs'; readonly id: string | undefined }
  | { readonly kind: 'foreign' }

/** Since 2026-07-28 there are no sessions: an id that comes nevertheless is ignored (MCP 2026-07-28, R12). */
function sessionOf(
  { sessions }: ServerCallNeeds,
  { request, era }: VerifiedCall,
  owner: SessionOwner,
): Session {
  const bound = request.headers[sessionHeader]
  if (bound === undefined || era === 'modern') return { kind: 'theirs', id: undefined }
  const id = typeof bound === 'string' ? sessions.unbind(owner, bound) : undefined
  if (id === undefined) return { kind: 'foreign' }
  // The server gave none: the id is there for what it remembers of the client.
  return { kind: 'theirs', id: id === '' ? undefined : id }
}

type AttemptOutcome =
  | Outcome
  | WithoutSessions
  | { readonly kind: 'not_connected'; readonly connectUrl: string; readonly isShared: boolean }
  /** The session was not begun by this caller with this connection. */
  | { readonly kind: 'foreign_session' }

/** Sends it; once more where the server gives a nonce that our proof has to carry (RFC 9449 §9). */
async function attempt(
  needs: ServerCallNeeds,
  verified: VerifiedCall,
  credential: Credential,
): Promise<AttemptOutcome> {
  if (credential.kind === 'authorization_required') {
    const { connectUrl, isShared } = credential
    return { kind: 'not_connected', connectUrl, isShared }
  }
  const connectionId = credential.kind === 'bearer' ? credential.connectionId : undefined
  const owner = { principal: verified.principal, serverId: verified.server.id, connectionId }
  const session = sessionOf(needs, verified, owner)
  if (session.kind === 'foreign') return { kind: 'foreign_session' }
  const once = () => sendOnce(needs, verified, { credential, owner, sessionId: session.id })
  const outcome = await once()
  if (outcome.kind !== 'held') return outcome
  const { status, headers } = outcome
  const [challenge, nonce] = [headers['www-authenticate'], textOf(headers['dpop-nonce'])]
  const { url } = verified.server
  const wantsAgain = needs.credentials.heard(credential, url, { status, challenge, nonce })
  return wantsAgain ? once() : outcome
}

function textOf(field: string | string[] | undefined): string | undefined {
  return typeof field === 'string' ? field : undefined
}

interface Sending {
  readonly credential: Shown
  readonly owner: SessionOwner
  readonly sessionId: string | undefined
}

function sendOnce(
  needs: ServerCallNeeds,
  verified: VerifiedCall,
  sending: Sending,
): Promise<Outcome | WithoutSessions> {
  const { response, server, method, call, era, isOffered, overheard } = verified
  const mayFindOut = method === 'POST' && call.id !== null && sending.sessionId === undefined
  const { present, heard, headersOf, watch } = waysOf(needs, verified, sending)
  return needs.transports.send(
    { server, mayFindOut, isHello: era === 'legacy' && call.method === 'initialize' },
    {
      overHttp: ({ keepsDoubtful }) =>
        forward({
          outbound: needs.outbound,
          outgoing: outgoingOf(verified, sending, present),
          response,
          headersOf,
          answerTimeMs: needs.answerTimeMs,
          isOffered,
          watch,
          keepsDoubtful,
          overheard,
        }),
      pass: (doubted) => passDoubted({ response, headersOf, isOffered, overheard }, doubted),
      overSse: ({ opened }) =>
        forwardOverSse(needs, verified, {
          url: server.url,
          headers: present,
          heard,
          watch,
          opened,
        }),
    },
  )
}

type Present = (asked: {
  readonly method: string
  readonly url: string
}) => ReturnType<Credentials['present']>

function outgoingOf(
  { request, server: { url }, method, body }: VerifiedCall,
  { sessionId }: Sending,
  present: Present,
): Outgoing {
  const credential = present({ method, url })
  return {
    url,
    method,
    headers: requestHeaders({ incoming: request.headers, sessionId, credential }),
    body,
  }
}

/** What both ways of a call share. */
function waysOf(
  { sessions, streams, credentials, grants }: ServerCallNeeds,
  verified: VerifiedCall,
  { credential, owner }: Sending,
) {
  const { principal, server, call, overheard } = verified
  // The next proof carries what this answer brings, so that it is not refused for it (RFC 9449 §8.2).
  const heard = (upstream: IncomingHttpHeaders) => {
    const nonce = textOf(upstream['dpop-nonce'])
    credentials.heard(credential, server.url, { status: 200, challenge: undefined, nonce })
  }
  return {
    heard,
    present: (asked: Parameters<Present>[0]) => {
      const shown = credentials.present(credential, asked)
      overheard?.hide(shown)
      return { ...shown, ...identityHeaders(server, principal) }
    },
    headersOf: (upstream: IncomingHttpHeaders) => {
      heard(upstream)
      const facts = factsOf(verified)
      // A server without sessions gives no id to remember it in.
      const isKept = call.method === 'initialize' && facts.opensUrls
      const own = isKept ? { [sessionHeader]: sessions.bind(owner, '', facts) } : {}
      return { ...own, ...responseHeaders(upstream, (id) => sessions.bind(owner, id, facts)) }
    },
    watch: (end: () => void) =>
      streams.watch({
        principal,
        serverId: server.id,
        connectionId: owner.connectionId,
        ownerId: credential.kind === 'bearer' ? credential.ownerId : undefined,
        holds: async () =>
          (await grants.stands(principal.tenant, principal.grantId)) &&
          (await credentials.holds({ principal, server, credential })),
        end,
      }),
  }
}

/** What the client of this session can do: said when it begins, kept in its id from then on. */
function factsOf({ request, call, era }: VerifiedCall): SessionFacts {
  if (era === 'modern') return { opensUrls: false }
  const isKept = sessionOpensUrls(request.headers[sessionHeader])
  return { opensUrls: call.method === 'initialize' ? call.opensUrls === true : isKept }
}

function isUnauthorized(outcome: AttemptOutcome): boolean {
  return outcome.kind === 'held' && outcome.status === 401
}

interface Concluded<O = AttemptOutcome> {
  readonly credential: Credential
  readonly outcome: O
}

async function conclude(
  needs: ServerCallNeeds,
  verified: VerifiedCall,
  { credential, outcome }: Concluded,
): Promise<Ending | WithoutSessions> {
  if (outcome.kind === 'without_sessions') return outcome
  const ending = await endingOf(needs, verified, { credential, outcome })
  if (credential.kind !== 'bearer' || credential.ownerId === undefined) return ending
  return { ...ending, shared: { id: credential.connectionId, ownerId: credential.ownerId } }
}

async function endingOf(
  needs: ServerCallNeeds,
  verified: VerifiedCall,
  { credential, outcome }: Concluded<Exclude<AttemptOutcome, WithoutSessions>>,
): Promise<Ending> {
  const { log } = needs
  const { server, call } = verified
  const askSignIn = (connect: Connect) => needs.askSignIn(verified, connect)
  if (outcome.kind === 'passed') {
    await notePassed(needs, verified, credential, outcome.status)
    return outcome
  }
  if (outcome.kind === 'broken') {
    log.info({ server: server.slug, because: outcome.because }, 'an answer was not sent to its end')
    return outcome
  }
  if (outcome.kind === 'failed') {
    log.warn({ server: server.slug, because: outcome.fault.because }, 'a server did not answer')
    return answered(faultAnswer(outcome.fault, call))
  }
  if (outcome.kind === 'foreign_session') return answered(unknownSession(call))
  if (outcome.kind === 'not_connected') {
    const { connectUrl, isShared } = outcome
    const reason = 'authorization_required'
    return answered(askSignIn({ serverName: server.name, connectUrl, reason, isShared }))
  }
  log.info({ server: server.slug, status: outcome.status }, 'a server’s answer was not passed on')
  return answered(await heldAnswer({ ...needs, askSignIn }, verified, credential, outcome))
}

function answered(answer: Answer): Ending {
  return { kind: 'answer', answer }
}
