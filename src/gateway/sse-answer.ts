// What a client gets for a call over the older transport: plain JSON, unless the server says something on the way to its
// answer; then an event stream, as the client would have got it from a server of Streamable HTTP.
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { writeEvent } from '../base/event-stream.ts'
import { streamFields } from './headers.ts'
import type { IsOffered } from './policy.ts'
import { openStream } from './proxy.ts'
import { createToolFilter } from './tool-filter.ts'

export interface SseAnswer {
  readonly isBegun: () => boolean
  /** Passes on what the server says on the way; absent for a client that takes no event stream. */
  readonly notify?: (text: string) => Promise<void>
  readonly finish: (text: string) => void
}

interface Parts {
  readonly response: ServerResponse
  /** What the client takes. */
  readonly accept: string | undefined
  readonly isOffered?: IsOffered | undefined
  /** Told when the answer is a stream: how to end it, and what it gives is called when it is over. */
  readonly watch?: ((end: () => void) => () => void) | undefined
  /** Told when whoever watches has ended it. */
  readonly closed: () => void
  /** Ends the wait for a client that does not read. */
  readonly signal: AbortSignal
}

/** Makes the answer to one call. */
export function createSseAnswer(parts: Parts): SseAnswer {
  const { response, accept = '', isOffered, watch, closed, signal } = parts
  let isBegun = false
  const notify = async (text: string) => {
    if (!isBegun) {
      isBegun = true
      const fields = { 'content-type': 'text/event-stream', ...streamFields, ...ownFields }
      response.writeHead(200, fields)
      openStream(response, watch, closed)
    }
    const isTaken = response.write(writeEvent({ name: 'message', data: text }))
    if (!isTaken) await once(response, 'drain', { signal })
  }
  return {
    isBegun: () => isBegun,
    ...(/\btext\/event-stream\b/i.test(accept) ? { notify } : {}),
    finish: (text) => {
      const shown = offered(text, isOffered)
      if (isBegun) response.end(writeEvent({ name: 'message', data: shown }))
      else sendJson(response, shown)
    },
  }
}

const ownFields = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' }

function offered(text: string, isOffered: Parts['isOffered']): string {
  if (isOffered === undefined) return text
  const filter = createToolFilter('application/json', isOffered)
  return Buffer.concat([filter.write(Buffer.from(text)), filter.end()]).toString()
}

function sendJson(response: ServerResponse, text: string): void {
  const body = Buffer.from(text)
  const length = { 'content-length': `${body.length}` }
  response.writeHead(200, { 'content-type': 'application/json', ...length, ...ownFields })
  response.end(body)
}

/** What is never answered was taken. */
export function accepted(response: ServerResponse): void {
  response.writeHead(202, { 'content-length': '0', ...ownFields }).end()
}
