// An answer in the web's form on Node's own streams, at the pace of whoever reads it.
import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/** Sends it to its end; a client that leaves is no error here. */
export async function sendWeb(
  response: ServerResponse,
  { status, headers, body }: Response,
  own: Readonly<Record<string, string>>,
): Promise<void> {
  if (response.destroyed) return
  response.writeHead(status, { ...Object.fromEntries(headers), ...own })
  if (body === null) return void response.end()
  response.flushHeaders()
  try {
    await pipeline(Readable.fromWeb(body), response)
  } catch {
    response.destroy() // The client must not take half an answer for a whole one.
  }
}

/** Ends when the client leaves before its answer is whole. */
export function whenLeft(response: ServerResponse): AbortSignal {
  const left = new AbortController()
  response.once('close', () => {
    if (!response.writableEnded) left.abort()
  })
  return left.signal
}
