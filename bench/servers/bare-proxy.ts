// The yardstick: a reverse proxy that does nothing but copy bytes, on `undici` dispatch, which is the fastest that Node has.
// It knows no callers, looks into nothing and keeps nothing. Says on its first line where it is.
import { createServer } from 'node:http'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { Agent } from 'undici'
import type { Dispatcher } from 'undici'

const port = Number(process.argv[2])
const { upstreamUrl, token } = JSON.parse(process.argv[3] ?? '') as {
  readonly upstreamUrl: string
  readonly token: string
}
const { origin, pathname: path } = new URL(upstreamUrl)
const agent = new Agent({ bodyTimeout: 0 })

createServer((request, response) => {
  if (request.method === 'GET') return pass(request, response, null)
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => pass(request, response, Buffer.concat(chunks)))
}).listen(port, '127.0.0.1', () => {
  const headers = { authorization: `Bearer ${token}` }
  console.log(JSON.stringify({ url: `http://127.0.0.1:${port}/mcp`, headers }))
})

function pass(request: IncomingMessage, response: ServerResponse, body: Buffer | null): void {
  const method = request.method as Dispatcher.HttpMethod // Node's parser takes no other
  const headers = endToEnd(request.headers)
  let upstream: Dispatcher.DispatchController | undefined
  const resume = () => upstream?.resume()
  response.once('close', () => upstream?.abort(new Error('the client left')))
  agent.dispatch(
    { origin, path, method, headers, body, bodyTimeout: 0 },
    {
      onRequestStart: (controller) => void (upstream = controller),
      onResponseStart: (_controller, status, fields) => {
        response.writeHead(status, endToEnd(fields)).on('drain', resume)
        if (fields['content-length'] === undefined) response.flushHeaders()
      },
      onResponseData: (controller, chunk) => {
        if (!response.write(chunk)) controller.pause()
      },
      onResponseEnd: () => {
        upstream = undefined
        response.end()
      },
      onResponseError: () => void response.destroy(),
    },
  )
}

/** RFC 9110 §7.6.1: all but what is for this one connection. */
function endToEnd(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const { connection: _c, 'keep-alive': _k, 'transfer-encoding': _t, host: _h, ...others } = headers
  return others
}
