// For the tests of this room: a small server of the older HTTP+SSE transport that a test can make misbehave.
import type { RequestListener, ServerResponse } from 'node:http'
import { bodyOf } from './gateway.rig.ts'

/** What came by POST. */
export interface Said {
  readonly id?: unknown
  readonly method?: string
  readonly params?: { readonly protocolVersion?: string }
  readonly result?: unknown
  readonly error?: { readonly code: number }
}

export interface OlderServer {
  readonly listener: RequestListener
  readonly said: readonly Said[]
  /** Writes into the stream that was opened last. */
  readonly tell: (message: unknown) => void
  /** Ends that stream. */
  readonly hangUp: () => void
  /** Called when that stream is closed by whoever opened it. */
  readonly onClosed: (closed: () => void) => void
}

interface Manners {
  readonly endpoint?: string
  /** Requests are taken only when the session is over. */
  readonly holdsPosts?: boolean
  /** What follows a request; by default it is answered with the name of its method. */
  readonly onRequest?: (request: Said, server: OlderServer) => void
}

/** Makes one; a POST to the address of its stream is 404. */
export function olderServer({
  endpoint = '/say?s=1',
  holdsPosts = false,
  onRequest = answer,
}: Manners = {}) {
  const said: Said[] = []
  const closers: (() => void)[] = []
  let stream: ServerResponse | undefined
  const server: OlderServer = {
    said,
    tell: (message) => stream?.write(`event: message\ndata: ${JSON.stringify(message)}\n\n`),
    hangUp: () => stream?.end(),
    onClosed: (closed) => closers.push(closed),
    listener: (request, response) => {
      if (request.method === 'GET') {
        stream = response.once('close', () => closers.forEach((closed) => closed()))
        return startEvents(response, `event: endpoint\ndata: ${endpoint}\n\n`)
      }
      if (!request.url?.startsWith('/say')) return response.writeHead(404).end('Cannot POST')
      const message = JSON.parse(bodyOf(request)) as Said
      said.push(message)
      const take = () => response.writeHead(202).end('Accepted')
      if (holdsPosts && message.id !== undefined) stream?.once('close', take)
      else take()
      if (message.id !== undefined && message.method === 'initialize') answer(message, server)
      else if (message.id !== undefined && message.method !== undefined) onRequest(message, server)
    },
  }
  return server
}

function answer({ id, method }: Said, { tell }: OlderServer): void {
  tell({ jsonrpc: '2.0', id, result: { of: method } })
}

/** Begins an event stream. */
export function startEvents(response: ServerResponse, text: string): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' }).write(text)
}
