// One call in our own words to one server for a verified person: with their own credential, once more after a 401 with a
// refreshed one, and what the server says of our credential in words of ours. The counterpart of server-call.ts for what
// does not pass through as it came.
import type { IncomingHttpHeaders } from 'node:http'
import { isFault } from '../base/fault.ts'
import type { Secret } from '../base/secret.ts'
import type { Log } from '../base/log.ts'
import type { Credential, Credentials } from '../connectors/credential.ts'
import type { Shown } from '../connectors/present.ts'
import type { Server } from '../connectors/servers.ts'
import type { TokenPrincipal } from '../people/principal.ts'
import type { Answer, Connect } from './answers.ts'
import { connectAnswer, faultAnswer } from './answers.ts'
import type { Call } from './calls.ts'
import { isJsonObject } from './exact-json.ts'
import { heldAnswer, notePassed } from './held-answer.ts'
import { faultOf } from './proxy.ts'
import type { SharedUse } from './server-call.ts'
import type { Heard, Question, ServerEras, Way } from '../connectors/server-eras.ts'
import type { Message } from '../connectors/post-message.ts'

/** What is asked of which server, and for whom. */
export interface UpstreamCall extends Question {
  readonly server: Server
  readonly principal: TokenPrincipal
  readonly notified?: ((notification: Message) => void) | undefined
  /** Asks whoever calls to sign in, where their client can show it; else they get the link. */
  readonly askSignIn?: ((connect: Connect) => Answer) | undefined
  readonly signal: AbortSignal
  /** Told the credential that is shown to the server. */
  readonly hide?: ((credential: Readonly<Record<string, Secret>>) => void) | undefined
}

/** The server's own answer, or one of ours in place of it. */
export type Reply = (
  | { readonly kind: 'result'; readonly result: Message }
  | { readonly kind: 'error'; readonly error: UpstreamError }
  | { readonly kind: 'answer'; readonly answer: Answer }
) & { readonly shared?: SharedUse }

/** A JSON-RPC error as the server gave it. */
export interface UpstreamError {
  readonly code: number
  readonly message: string
  readonly data?: unknown
}

export type AskServer = (call: UpstreamCall) => Promise<Reply>

interface Needs {
  readonly credentials: Credentials
  readonly eras: ServerEras
  readonly log: Log
}

/** Makes what asks servers. It throws the Faults of the credentials, for whoever may not use the server. */
export function createAskServer(needs: Needs): AskServer {
  const { credentials, log } = needs
  return async (call) => {
    const { server, principal } = call
    const credential = await credentials.credentialFor(server, principal)
    const outcome = await attempt(needs, call, credential)
    if (credential.kind !== 'bearer' || !isUnauthorized(outcome)) {
      return conclude(needs, call, { credential, outcome })
    }
    log.info({ server: server.slug }, 'the server refused the token; it is refreshed once')
    const renewed = await credentials.refreshAfterUnauthorized(server, principal, credential)
    const second = await attempt(needs, call, renewed)
    return conclude(needs, call, { credential: renewed, outcome: second })
  }
}

type Outcome =
  | Heard
  | { readonly kind: 'answer'; readonly answer: Answer }
  | { readonly kind: 'failed'; readonly thrown: unknown }

/** Sends it; once more where the server gives a nonce that our proof has to carry (RFC 9449 §9). */
async function attempt(needs: Needs, call: UpstreamCall, credential: Credential): Promise<Outcome> {
  const { server } = call
  if (credential.kind === 'authorization_required') {
    const { connectUrl, isShared } = credential
    const reason = 'authorization_required'
    const connect = { serverName: server.name, connectUrl, reason, isShared } as const
    return { kind: 'answer', answer: signInAnswer(call, connect) }
  }
  const once = () => sendOnce(needs, call, credential)
  const outcome = await once()
  if (outcome.kind !== 'held') return outcome
  const { status, headers } = outcome
  const [challenge, nonce] = [headers['www-authenticate'], nonceIn(headers)]
  const said = { status, challenge, nonce }
  return needs.credentials.heard(credential, server.url, said) ? once() : outcome
}

async function sendOnce(
  { credentials, eras }: Needs,
  call: UpstreamCall,
  credential: Shown,
): Promise<Outcome> {
  const { server, notified, signal, method, params, fields = {}, capabilities } = call
  const way: Way = {
    server,
    notified,
    signal,
    present: (request) => {
      const shown = credentials.present(credential, request)
      call.hide?.(shown)
      return shown
    },
    heard: (headers) => {
      const said = { status: 200, challenge: undefined, nonce: nonceIn(headers) }
      credentials.heard(credential, server.url, said)
    },
  }
  try {
    return await eras.ask(way, { method, params, fields, capabilities })
  } catch (thrown) {
    return { kind: 'failed', thrown }
  }
}

function nonceIn(headers: IncomingHttpHeaders): string | undefined {
  const nonce = headers['dpop-nonce']
  return typeof nonce === 'string' ? nonce : undefined
}

function isUnauthorized(outcome: Outcome): boolean {
  return outcome.kind === 'held' && outcome.status === 401
}

async function conclude(
  needs: Needs,
  call: UpstreamCall,
  { credential, outcome }: { readonly credential: Credential; readonly outcome: Outcome },
): Promise<Reply> {
  const reply = await replyOf(needs, call, credential, outcome)
  if (credential.kind !== 'bearer' || credential.ownerId === undefined) return reply
  return { ...reply, shared: { id: credential.connectionId, ownerId: credential.ownerId } }
}

async function replyOf(
  needs: Needs,
  call: UpstreamCall,
  credential: Credential,
  outcome: Outcome,
): Promise<Reply> {
  const { server, principal, signal } = call
  const held = { principal, server, method: 'POST', call: callOf(call) } as const
  const asking = { ...needs, askSignIn: (connect: Connect) => signInAnswer(call, connect) }
  if (outcome.kind === 'answer') return outcome
  if (outcome.kind === 'held') {
    needs.log.info({ server: server.slug, status: outcome.status }, 'a server’s answer is ours')
    return { kind: 'answer', answer: await heldAnswer(asking, held, credential, outcome) }
  }
  if (outcome.kind === 'failed') {
    const thrown: unknown = signal.aborted ? signal.reason : outcome.thrown
    const isLate = isFault(thrown) && thrown.code === 'upstream_timeout'
    const fault = isLate ? thrown : faultOf(thrown)
    needs.log.warn({ server: server.slug, because: fault.because }, 'a server did not answer')
    return { kind: 'answer', answer: faultAnswer(fault, held.call) }
  }
  await notePassed(needs, held, credential, 200)
  return readReply(outcome.message)
}

function signInAnswer(call: UpstreamCall, connect: Connect): Answer {
  return call.askSignIn?.(connect) ?? connectAnswer(callOf(call), connect)
}

function readReply({ result, error }: Message): Reply {
  if (isJsonObject(result)) return { kind: 'result', result }
  const { code, message, data } = isJsonObject(error) ? error : {}
  return {
    kind: 'error',
    error: {
      code: typeof code === 'number' && Number.isSafeInteger(code) ? code : -32_603,
      message: typeof message === 'string' ? message : 'The server gave no reason.',
      ...(data === undefined ? {} : { data }),
    },
  }
}

/** As policy, journal and answers see it; the id is put in by whoever answers. */
export function callOf({ method, params }: Pick<Question, 'method' | 'params'>): Call {
  const { name } = params
  const isTool = method === 'tools/call' && typeof name === 'string'
  return { id: null, method, wantsAnswer: true, ...(isTool ? { tool: name } : {}) }
}
