// A port of its own for the measurements, without a key: for networks in which only the one who measures reaches it.
import type { Server } from 'node:http'
import { createServer } from 'node:http'
import type { Log } from '../base/log.ts'

const headerBytes = 8_192
const requestTimeMs = 10_000

/** Makes the HTTP server of `/metrics`; it does not listen yet. */
export function createMetricsListener(
  { log }: { readonly log: Log },
  measurements: () => Promise<string>,
): Server {
  const server = createServer({ maxHeaderSize: headerBytes, requestTimeout: requestTimeMs })
  server.on('request', (request, response) => {
    const answer = (status: number, text: string) => {
      response.writeHead(status, {
        'content-type': 'text/plain; version=0.0.4; charset=utf-8',
        'cache-control': 'no-store',
      })
      response.end(text)
    }
    const path = (request.url ?? '').split('?', 1)[0]
    if (path !== '/metrics') return answer(404, 'There is only /metrics here.\n')
    if (request.method !== 'GET') return answer(405, 'This address takes GET only.\n')
    measurements().then(
      (text) => answer(200, text),
      (cause: unknown) => {
        log.warn({ cause }, 'the measurements could not be read')
        answer(503, 'The measurements cannot be read now.\n')
      },
    )
  })
  return server
}
