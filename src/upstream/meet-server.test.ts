// What shows of a server to a caller without a token: whether it lets anybody in, and over which transport.
import assert from 'node:assert/strict'
import type { RequestListener, ServerResponse } from 'node:http'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { listenOnLoopback } from '../../test/counterparts/loopback.ts'
import { verifies } from '../../test/requirements.ts'
import { createManualClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { createOutbound } from '../base/outbound.ts'
import { meetServer } from './meet-server.ts'
import { createTrace } from './trace.ts'

const challenge = 'Bearer scope="notes"'

const servers: readonly (readonly [
  name: string,
  answers: Readonly<Record<string, RequestListener>>,
  expected: { readonly kind: string; readonly transport?: string; readonly asked: number },
])[] = [
  [
    'an answer in JSON is that of the newer transport',
    { 'POST /mcp': json(200) },
    { kind: 'open', transport: 'streamable_http', asked: 1 },
  ],
  [
    'a page says nothing of the transport',
    { 'POST /mcp': (_request, response) => response.setHeader('content-type', 'text/html').end() },
    { kind: 'open', asked: 1 },
  ],
  [
    'a stream with an endpoint that takes a message is an open server of the older one',
    { 'GET /mcp': stream('/say'), 'POST /say': json(202) },
    { kind: 'open', transport: 'sse', asked: 4 },
  ],
  [
    'a stream that is open, while what is said over it wants a token',
    { 'GET /mcp': stream('/say'), 'POST /say': json(401) },
    { kind: 'challenged', transport: 'sse', asked: 4 },
  ],
  [
    'a stream that wants a token itself',
    { 'GET /mcp': json(401) },
    { kind: 'challenged', asked: 3 },
  ],
  [
    'an endpoint elsewhere is not asked',
    { 'GET /mcp': stream('http://127.0.0.1:9/say') },
    { kind: 'unclear', asked: 3 },
  ],
  ['no stream either', {}, { kind: 'unclear', asked: 3 }],
  [
    'a server in trouble is not asked for a stream',
    { 'POST /mcp': json(500), 'GET /mcp': stream('/say') },
    { kind: 'unclear', asked: 2 },
  ],
]

for (const [name, answers, expected] of servers) {
  test(`a look at a server: ${name}`, async (t) => {
    verifies(t, 'S1-13', 'S2-5')
    const { needs, url, asked, closed } = await startServer(t, answers)

    const welcome = await meetServer(needs, url)

    const { kind, transport, asked: count } = expected
    assert.equal(welcome.kind, kind)
    assert.equal(welcome.transport, transport)
    assert.equal(asked.length, count)
    if (welcome.kind === 'challenged') assert.equal(welcome.challenge?.scope, 'notes')
    // A look leaves no stream open behind it.
    if (asked.includes('GET /mcp') && answers['GET /mcp'] !== undefined) await closed
  })
}

async function startServer(t: TestContext, answers: Readonly<Record<string, RequestListener>>) {
  const asked: string[] = []
  const closed = Promise.withResolvers<void>()
  const { origin, stop } = await listenOnLoopback(() => (request, response) => {
    const line = `${request.method} ${request.url}`
    asked.push(line)
    request.resume()
    if (request.method === 'GET') response.once('close', () => closed.resolve())
    const answer = answers[line] ?? json(405)
    answer(request, response)
  })
  const clock = createManualClock()
  const outbound = createOutbound({ log: silentLog, clock }, { allow: ['loopback'] })
  t.after(async () => {
    await outbound.close()
    await stop()
  })
  const { signal } = new AbortController()
  const needs = { outbound, trace: createTrace(clock), signal }
  return { needs, url: `${origin}/mcp`, asked, closed: closed.promise }
}

function json(status: number): RequestListener {
  return (_request, response: ServerResponse) => {
    const fields = { 'content-type': 'application/json', 'www-authenticate': challenge }
    response.writeHead(status, fields).end('{}')
  }
}

function stream(endpoint: string): RequestListener {
  return (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(`event: endpoint\ndata: ${endpoint}\n\n`)
  }
}
