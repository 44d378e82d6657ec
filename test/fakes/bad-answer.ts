// Owns the ways in which an HTTP answer can go wrong, each sent for real over a socket.
import type { ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'

/** An answer other than the good one; with `times`, only for so many requests. */
export type BadAnswer = BadAnswerKind & { readonly times?: number }

type BadAnswerKind =
  /** Any status, with headers (`retry-after`, `location`, …) and a text body. */
  | {
      readonly kind: 'status'
      readonly status: number
      readonly headers?: Readonly<Record<string, string>>
      readonly body?: string
    }
  /** JSON with any status: a 200 that carries `error`, wrong types, too deep, … */
  | { readonly kind: 'json'; readonly status?: number; readonly body: unknown }
  /** RFC 6749 §5.2 */
  | { readonly kind: 'oauth-error'; readonly error: string; readonly status?: number }
  /** A sign-in page of some proxy, status 200. */
  | { readonly kind: 'html' }
  /** Takes the request and never answers. */
  | { readonly kind: 'hang' }
  /** Cuts the connection before a byte is sent. */
  | { readonly kind: 'reset' }
  /** Good headers, then a body that never ends, a byte at a time. */
  | { readonly kind: 'slow-body'; readonly everyMs?: number }
  /** A few kilobytes of gzip that unpack to 64 MiB. */
  | { readonly kind: 'gzip-bomb' }
  /** Plain JSON of this size. */
  | { readonly kind: 'oversize'; readonly bytes: number }
  /** Cuts the connection when the head of the request is there, before its body was read. */
  | { readonly kind: 'reset-unread' }
  /** Does the work, then cuts the connection: the answer is lost on the way. */
  | { readonly kind: 'lost' }
  /** Does the work, and cuts the connection when half of the answer is sent. */
  | { readonly kind: 'cut' }

/** Sends a bad answer; `lost` and `cut` are the server's own business, because the work has to be done first. */
export function sendBadAnswer(response: ServerResponse, answer: BadAnswer): void {
  switch (answer.kind) {
    case 'status':
      response.writeHead(answer.status, answer.headers).end(answer.body ?? '')
      return
    case 'json':
      return sendJson(response, answer.status ?? 200, answer.body)
    case 'oauth-error':
      return sendJson(response, answer.status ?? 400, { error: answer.error })
    case 'html':
      response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Please sign in</h1>')
      return
    case 'hang':
      return
    case 'reset':
    case 'reset-unread':
    case 'lost':
    case 'cut':
      response.socket?.resetAndDestroy()
      return
    case 'slow-body':
      return drip(response, answer.everyMs ?? 50)
    case 'gzip-bomb':
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
      response.end(bomb())
      return
    case 'oversize':
      return sendJson(response, 200, { padding: 'x'.repeat(answer.bytes) })
  }
}

/** Sends JSON the way RFC 6749 §5.1 wants token answers: never stored. */
export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' }
  response.writeHead(status, headers).end(JSON.stringify(body))
}

function drip(response: ServerResponse, everyMs: number): void {
  response.writeHead(200, { 'content-type': 'application/json' }).write('{')
  const timer = setInterval(() => response.write(' '), everyMs)
  response.on('close', () => clearInterval(timer))
}

const bombBytes = 64 * 1024 * 1024

let packed: Buffer | undefined

function bomb(): Buffer {
  packed ??= gzipSync(Buffer.alloc(bombBytes, ' '))
  return packed
}
