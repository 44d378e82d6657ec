// One request of ours to a server, in whichever era and over whichever transport it speaks (MCP 2026-07-28, "Backward
// Compatibility"): asked once how, and remembered for a while. Before 2026-07-28 each request has a session of its own, so
// that nothing of one person's is kept between calls, nor between processes.
import type { IncomingHttpHeaders } from 'node:http'
import { createBoundedMap } from '../base/bounded.ts'
import type { Clock } from '../base/clock.ts'
import type { Outbound } from '../base/outbound.ts'
import type { Secret } from '../base/secret.ts'
import {
  initializeRequest,
  sessionMessage,
  sessionVersion,
  statelessRequest,
  statelessVersion,
} from '../upstream/mcp.ts'
import type { McpRequest } from '../upstream/mcp.ts'
import { nameField } from './name-field.ts'
import { isObject, post } from './post-message.ts'
import type { Message, Posted } from './post-message.ts'
import type { Server, Servers } from './servers.ts'
import { askOverSse } from './sse-session.ts'

/** One request. */
export interface Question {
  readonly method: string
  readonly params: Readonly<Record<string, unknown>>
  /** More header fields, for servers of the newer era only. */
  readonly fields?: Readonly<Record<string, string>>
  /** What whoever asks can be asked in turn, by servers of the newer era only. */
  readonly capabilities?: Readonly<Record<string, unknown>> | undefined
}

/** Where to, and how our credential is shown there. */
export interface Way {
  readonly server: Server
  readonly present: (request: {
    readonly method: string
    readonly url: string
  }) => Readonly<Record<string, Secret>>
  readonly heard: (headers: IncomingHttpHeaders) => void
  /** Told what the server notifies of on the way to the answer. */
  readonly notified?: ((notification: Message) => void) | undefined
  /** The client has lost interest: the server is told where it could not know. */
  readonly signal: AbortSignal
}

/** The JSON-RPC answer, or how the server refused over HTTP. */
export type Heard =
  | { readonly kind: 'reply'; readonly message: Message }
  | { readonly kind: 'held'; readonly status: number; readonly headers: IncomingHttpHeaders }

export interface ServerEras {
  /** Throws Fault('server_unreachable' | 'payload_too_large'), and what undici throws. */
  readonly ask: (way: Way, question: Question) => Promise<Heard>
}

interface Needs {
  readonly outbound: Pick<Outbound, 'dispatcher'>
  readonly servers: Pick<Servers, 'noteTransport'>
  readonly clock: Clock
}

const rememberedMs = 600_000
const rememberedMax = 1_000
/** What is said after the end of a call takes no longer. */
const farewellMs = 5_000
const requestId = 1
const sessionHeader = 'mcp-session-id'

/** Makes what asks; it remembers for one process how servers speak. */
export function createServerEras(needs: Needs): ServerEras {
  const { clock } = needs
  const known = createBoundedMap<{ readonly isModern: boolean; readonly until: number }>(
    rememberedMax,
  )
  const remember = ({ server }: Way, isModern: boolean) =>
    known.set(placeOf(server), { isModern, until: clock.now() + rememberedMs })

  const askModern = async (way: Way, question: Question): Promise<Heard> => {
    const posted = await send(needs, way, modernRequest(question))
    // It speaks another revision now than when we asked: the next call finds out which.
    if (posted.status === 400) known.delete(placeOf(way.server))
    return heardOf(posted)
  }

  const find = async (way: Way, question: Question): Promise<Heard> => {
    const looked = await send(needs, way, statelessRequest('server/discover'))
    if (isRefusal(looked.status)) return heardOf(looked)
    if (speaksModern(looked)) {
      remember(way, true)
      return askModern(way, question)
    }
    const heard = await askInSession(needs, way, question)
    if (heard.kind === 'reply') remember(way, false)
    return heard
  }

  return {
    ask: async (way, question) => {
      if (way.server.transport === 'sse') return askOlder(needs, way, question)
      const found = known.get(placeOf(way.server))
      const heard =
        found === undefined || found.until <= clock.now()
          ? await find(way, question)
          : await (found.isModern ? askModern(way, question) : askInSession(needs, way, question))
      const mayBeOlder = heard.kind === 'held' && doubtful.has(heard.status)
      if (!mayBeOlder || way.server.transport !== undefined) return heard
      const older = await askOlder(needs, way, question)
      if (older.kind !== 'reply') return heard
      await needs.servers.noteTransport(way.server, 'sse')
      return older
    },
  }
}

/** MCP 2025-11-25, "Backwards Compatibility". */
const doubtful = new Set([400, 404, 405])

function placeOf({ id, url }: Server): string {
  return `${id} ${url}`
}

/** What is said of our credential or of limits says nothing of eras. */
function isRefusal(status: number): boolean {
  return status === 401 || status === 403 || status === 407 || status === 429
}

function speaksModern({ answer }: Posted): boolean {
  const result = answer?.['result']
  const versions = isObject(result) ? result['supportedVersions'] : undefined
  return Array.isArray(versions) && versions.includes(statelessVersion)
}

function modernRequest({ method, params, fields = {}, capabilities }: Question): McpRequest {
  const { _meta: said, ...others } = params
  const request = statelessRequest(method, others, capabilities)
  const body = JSON.parse(request.body) as { params: { _meta: Message } } // we wrote it just now
  const meta = isObject(said) ? said : {}
  const all = { ...body, params: { ...body.params, _meta: { ...meta, ...body.params._meta } } }
  return {
    ...request,
    headers: { ...fields, ...request.headers, ...nameField(method, params) },
    body: JSON.stringify(all),
  }
}

async function send(
  { outbound }: Needs,
  way: Way,
  request: McpRequest,
  { id = requestId, told }: { readonly id?: number | undefined; readonly told?: Told } = {},
): Promise<Posted> {
  const { url } = way.server
  const shown = way.present({ method: 'POST', url })
  const posted = await post(
    { outbound, signal: way.signal },
    {
      url,
      headers: { ...request.headers, ...shown },
      body: request.body,
      id,
      told: told ?? notifications(way),
    },
  )
  way.heard(posted.headers)
  return posted
}

type Told = (message: Message) => void

function notifications({ notified }: Way): Told {
  return (message) => (message['id'] === undefined ? notified?.(message) : undefined)
}

function heardOf({ status, headers, answer }: Posted): Heard {
  const isRefused = isRefusal(status) && 'www-authenticate' in headers
  if (answer === undefined || isRefused || status === 429) return { kind: 'held', status, headers }
  return { kind: 'reply', message: answer }
}

interface Session {
  readonly id: string | undefined
  readonly version: string
}

/** Begins a session, asks in it, and ends it. */
async function askInSession(needs: Needs, way: Way, question: Question): Promise<Heard> {
  const hello = await send(needs, way, initializeRequest())
  const result = hello.answer?.['result']
  if (!isObject(result)) return heardOf(hello)
  const id = hello.headers[sessionHeader]
  const { protocolVersion: version } = result
  const session = {
    id: typeof id === 'string' ? id : undefined,
    version: typeof version === 'string' ? version : sessionVersion,
  }
  try {
    await tell(needs, way, session, { method: 'notifications/initialized' })
    const { method, params } = question
    const request = sessionMessage({ id: requestId, method, params }, session)
    return heardOf(await send(needs, way, request, { told: listener(needs, way, session) }))
  } finally {
    void farewell(needs, way, session)
  }
}

function tell(
  needs: Needs,
  way: Way,
  session: Session,
  message: Parameters<typeof sessionMessage>[0],
): Promise<Posted> {
  const request = sessionMessage(message, session)
  return post(
    { outbound: needs.outbound, signal: way.signal },
    {
      url: way.server.url,
      headers: {
        ...request.headers,
        ...way.present({ method: 'POST', url: way.server.url }),
      },
      body: request.body,
      id: undefined,
    },
  )
}

/** Hands notifications on; a question is answered for whoever is not there, because we announced no capability. */
function listener(needs: Needs, way: Way, session: Session): Told {
  return (message) => {
    const { id, method } = message
    if (id === undefined) return way.notified?.(message)
    const refusal = { code: -32_601, message: 'Method not found' }
    const said = method === 'ping' ? { result: {} } : { error: refusal }
    const reply = { id, ...said } as unknown as Parameters<typeof tell>[3] // an answer goes the way of a request
    void tell(needs, way, session, reply).catch(() => undefined) // The server's own time limit ends its question.
  }
}

/** A closed connection is no cancelling before 2026-07-28 (MCP 2025-11-25, "Cancellation"): it is said. */
async function farewell(needs: Needs, way: Way, session: Session): Promise<void> {
  const isCancelled = way.signal.aborted
  const last = { ...way, signal: AbortSignal.timeout(farewellMs) }
  try {
    if (isCancelled) {
      const params = { requestId, reason: 'the caller cancelled it' }
      await tell(needs, last, session, { method: 'notifications/cancelled', params })
    }
    if (session.id !== undefined) await endSession(needs, last, session)
  } catch {
    // It ends by itself some time; nobody waits for this any more.
  }
}

async function endSession({ outbound }: Needs, way: Way, session: Session): Promise<void> {
  const { url } = way.server
  const { origin, pathname, search } = new URL(url)
  const shown = Object.entries(way.present({ method: 'DELETE', url }))
  const response = await outbound.dispatcher.request({
    origin,
    path: pathname + search,
    method: 'DELETE',
    headers: {
      ...Object.fromEntries(shown.map(([name, value]) => [name.toLowerCase(), value.reveal()])),
      'mcp-protocol-version': session.version,
      [sessionHeader]: session.id ?? '',
      'user-agent': 'latchkey',
    },
    signal: way.signal,
  })
  await response.body.dump()
}

/** Over HTTP+SSE (MCP 2024-11-05). */
async function askOlder(
  { outbound }: Needs,
  { server, present, heard, notified, signal }: Way,
  { method, params }: Question,
): Promise<Heard> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: requestId, method, params })
  const outcome = await askOverSse(
    {
      outbound,
      signal,
      notified: async (text) => notified?.(JSON.parse(text) as Message), // it was read as one
    },
    { url: server.url, headers: present, heard },
    { id: requestId, method, body },
  )
  if (outcome.kind === 'other_transport') return { kind: 'held', status: 404, headers: {} }
  if (outcome.kind === 'refused') {
    return { kind: 'held', status: outcome.status, headers: outcome.headers }
  }
  return { kind: 'reply', message: JSON.parse(outcome.text) as Message } // it was read as one
}
