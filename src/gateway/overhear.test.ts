// What is kept of what is said in calls: whichever way the answer takes, the same two texts; and nothing where nobody asked.
import assert from 'node:assert/strict'
import type { RequestListener } from 'node:http'
import { test } from 'node:test'
import { verifies } from '../../test/requirements.ts'
import { Secret } from '../base/secret.ts'
import type { KeptCall } from '../journal/call-contents.ts'
import { aliceToken, at, bearer, bodyOf, connectUrl, startRig, tenant } from './gateway.rig.ts'
import type { Rig } from './gateway.rig.ts'
import { olderServer } from './older-server.rig.ts'
import { said } from './said.rig.ts'

const both = { accept: 'application/json, text/event-stream' }
const params = { name: 'search', arguments: { query: 'private words', big: 1 } }
const call = { jsonrpc: '2.0', id: 3, method: 'tools/call', params }
const result = { content: [{ type: 'text', text: 'private answer' }] }
const text = (value: unknown) => JSON.stringify(value)
const whole = (value: unknown) => ({ text: text(value), isCut: false })

const json =
  (message: unknown, status = 200): RequestListener =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(typeof message === 'string' ? message : text(message))
  }
const stream =
  (...pieces: readonly string[]): RequestListener =>
  async (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const piece of pieces) {
      response.write(piece)
      await new Promise((go) => setImmediate(go))
    }
    response.end()
  }
const answer = { jsonrpc: '2.0', id: 3, result }
const progress = text({ jsonrpc: '2.0', method: 'notifications/progress', params: {} })

/** What one call leaves, of a tenant that keeps it. */
async function keptOf(
  t: Parameters<typeof startRig>[0],
  settings: Parameters<typeof startRig>[1],
  message: unknown = call,
): Promise<KeptCall> {
  const rig = await startRig(t, { callContentDays: 30, ...settings })
  await (await rig.post(message, { headers: both })).text()
  const [one, ...others] = await rig.kept()
  assert.ok(one !== undefined && others.length === 0)
  return one
}

test('a tenant that keeps nothing leaves nothing, one that does gets both texts', async (t) => {
  verifies(t, 'S4-36')
  const upstream = json(answer)
  const off = await startRig(t, { upstream })
  await (await off.post(call)).text()
  assert.deepEqual(await off.kept(), [])
  const [entry] = await off.entries()
  assert.equal(entry?.data?.['contentId'], undefined)

  const rig = await startRig(t, { upstream, callContentDays: 30 })
  assert.deepEqual(await (await rig.post(call)).json(), answer)
  assert.deepEqual(await rig.kept(), [
    {
      id: 'cnt_1',
      tenantId: 'ten_1',
      userId: 'usr_alice',
      clientId: 'mcp_oauth_1',
      serverId: 'srv_notes',
      server: 'notes',
      method: 'tools/call',
      tool: 'search',
      status: 200,
      durationMs: 0,
      input: whole(params),
      output: whole({ result }),
    },
  ])
  const entries = await rig.entries()
  assert.equal(entries[0]?.data?.['contentId'], 'cnt_1')
  assert.doesNotMatch(text(entries), /private/)
})

test('tools, prompts and resources are kept, and nothing else', async (t) => {
  verifies(t, 'S4-36')
  const rig = await startRig(t, { callContentDays: 1, upstream: json(answer) })
  const methods = [
    'tools/call',
    'prompts/get',
    'resources/read',
    'tools/list',
    'completion/complete',
  ]
  for (const method of methods) await (await rig.post({ ...call, method })).text()
  await (await rig.post({ jsonrpc: '2.0', id: 3, result })).text()
  assert.deepEqual(
    (await rig.kept()).map(({ method }) => method),
    methods.slice(0, 3),
  )
})

const event = (data: string) => `event: message\r\ndata: ${data}\r\n\r\n`
for (const [name, upstream] of [
  ['in one piece', stream(event(progress) + event(text(answer)))],
  ['in several', stream(event(progress), ...(event(text(answer)).match(/.{1,7}/gsu) ?? []))],
  ['without an end of its own', stream(event(progress), `data: ${text(answer)}\n`)],
  [
    'in lines',
    stream(
      text(answer)
        .replaceAll(/^|(?<=,)/g, '\ndata: ')
        .trimStart() + '\n\n',
    ),
  ],
] as const) {
  test(`the answer at the end of a stream is kept, ${name}`, async (t) => {
    verifies(t, 'S4-36')
    const { output } = await keptOf(t, { upstream })
    assert.deepEqual(output, whole({ result }))
  })
}

test('errors of the server, of ours, and of what could not be asked', async (t) => {
  verifies(t, 'S4-36')
  const error = { code: -32_000, message: 'no', data: { big: 1 } }
  const theirs = await keptOf(t, { upstream: json({ jsonrpc: '2.0', id: 3, error }) })
  assert.deepEqual(theirs.output, whole({ error }))
  const doubted = {
    transport: 'unknown',
    upstream: json({ jsonrpc: '2.0', id: 3, error }, 400),
  } as const
  assert.deepEqual((await keptOf(t, doubted)).output, whole({ error }))
  const missing = { kind: 'authorization_required', connectUrl, connectionId: 'con_1' } as const
  const refused = { ...missing, reason: 'never_connected', isShared: false } as const
  const ours = await keptOf(t, { credentials: [refused] })
  assert.match(ours.output?.text ?? '', /^\{"error":\{"code":.*authorization_required/)
  const down = await keptOf(t, { upstreamUrl: 'http://127.0.0.1:1/mcp' })
  assert.match(down.output?.text ?? '', /server_unreachable/)
  const renewed = { ...bearer, token: new Secret('upstream-token-2') }
  const again = await keptOf(t, {
    renewed,
    upstream: (request, response) =>
      request.headers.authorization === 'Bearer upstream-token-2'
        ? json(answer)(request, response)
        : void response.writeHead(401, { 'content-type': 'application/json' }).end(text(answer)),
  })
  assert.deepEqual(again.output, whole({ result }))
})

test('a text is kept up to 64 KiB, in whole characters, and marked where it is cut', async (t) => {
  verifies(t, 'S4-36')
  const max = 65_536
  const padded = (bytes: number) => {
    const empty = text({ result: { a: '' } }).length
    return { jsonrpc: '2.0', id: 3, result: { a: 'x'.repeat(bytes - empty) } }
  }
  const fits = await keptOf(t, { upstream: json(padded(max)) })
  assert.deepEqual([fits.output?.text.length, fits.output?.isCut], [max, false])
  const over = await keptOf(t, { upstream: json(padded(max + 1)) })
  assert.deepEqual([over.output?.text.length, over.output?.isCut], [max, true])
  // `{"a":"` are six bytes, and each of these has three.
  const long = await keptOf(
    t,
    { upstream: json(answer) },
    { ...call, params: { a: '€'.repeat(max) } },
  )
  assert.equal(long.input.isCut, true)
  assert.equal(long.input.text, `{"a":"${'€'.repeat((max - 6 - 1) / 3)}`)
  for (const upstream of [
    json({ jsonrpc: '2.0', id: 3, result: { a: 'x'.repeat(2_000_000) } }),
    stream(event(text({ jsonrpc: '2.0', id: 3, result: { a: 'x'.repeat(2_000_000) } }))),
  ]) {
    const { output } = await keptOf(t, { upstream })
    assert.deepEqual([output?.text.length, output?.isCut], [max, true])
    assert.match(output?.text ?? '', /"result":\{"a":"xxx/)
  }
})

test('an answer that breaks off is kept as far as it came', async (t) => {
  verifies(t, 'S4-36')
  const rig = await startRig(t, {
    callContentDays: 30,
    upstream: (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '500' })
      response.write(text(answer).slice(0, 60), () => response.destroy())
    },
  })
  await assert.rejects(rig.post(call).then((response) => response.text()))
  const [one] = await rig.kept()
  assert.deepEqual(one?.output, { text: text(answer).slice(0, 60), isCut: true })
})

test('our credential and tokens are in no text, whoever repeats them', async (t) => {
  verifies(t, 'S4-36')
  const token = `mcp_at_${'a'.repeat(43)}`
  const jwt = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl'
  const key = { 'x-api-key': new Secret('key "with" marks') }
  for (const credential of [bearer, { kind: 'headers', headers: key } as const]) {
    const { input, output } = await keptOf(
      t,
      {
        credentials: [credential],
        upstream: (request, response) =>
          json({ jsonrpc: '2.0', id: 3, result: { echo: request.headers } })(request, response),
      },
      { ...call, params: { ...params, arguments: { token, jwt } } },
    )
    assert.equal(input.text, text({ ...params, arguments: { token: '(secret)', jwt: '(secret)' } }))
    assert.doesNotMatch(output?.text ?? '', /upstream-token-1|with.{1,2} marks/)
    assert.match(output?.text ?? '', /\(secret\)/)
    assert.doesNotThrow(() => JSON.parse(output?.text ?? ''))
  }
})

test('numbers stay as they were written', async (t) => {
  const upstream = json('{"jsonrpc":"2.0","id":3,"result":{"n":12345678901234567890}}')
  const { output } = await keptOf(t, { upstream })
  assert.equal(output?.text, '{"result":{"n":12345678901234567890}}')
})

test('of a batch the calls that are kept, and their answers', async (t) => {
  verifies(t, 'S4-36')
  const list = { jsonrpc: '2.0', id: 'l', method: 'tools/list' }
  const upstream = json([
    { jsonrpc: '2.0', id: 'l', result: { tools: [] } },
    { jsonrpc: '2.0', id: 3, result },
  ])
  const one = await keptOf(t, { upstream }, [list, call])
  assert.equal(one.method, '(batch)')
  assert.deepEqual(one.input, whole([{ id: 3, method: 'tools/call', params }]))
  assert.deepEqual(one.output, whole([{ id: 3, result }]))
  const rig = await startRig(t, { callContentDays: 30, upstream })
  await (await rig.post([list])).text()
  assert.deepEqual(await rig.kept(), [])
})

test('an answer over the older transport is kept', async (t) => {
  verifies(t, 'S4-36')
  const upstream = olderServer().listener
  const { output } = await keptOf(t, { transport: 'sse', upstream })
  assert.deepEqual(output, whole({ result: { of: 'tools/call' } }))
})

test('what an older client says at a server without sessions is kept', async (t) => {
  verifies(t, 'S4-36')
  const upstream: RequestListener = (request, response) => {
    const { id, method } = JSON.parse(bodyOf(request)) as { id: unknown; method: string }
    const results: Record<string, object> = {
      'server/discover': { supportedVersions: ['2026-07-28'], capabilities: { tools: {} } },
      'tools/call': { ...result, echo: request.headers.authorization },
    }
    const answered = results[method]
    const refused = { error: { code: -32_022, message: 'no' } }
    json(
      { jsonrpc: '2.0', id, ...(answered === undefined ? refused : { result: answered }) },
      answered === undefined ? 400 : 200,
    )(request, response)
  }
  const rig = await startRig(t, { callContentDays: 30, upstream })
  const hello = {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'c', version: '1' },
  }
  const begun = await rig.post(
    { jsonrpc: '2.0', id: 1, method: 'initialize', params: hello },
    { headers: both },
  )
  const session = { 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' }
  await said(begun)
  await said(rig.post(call, { headers: { ...both, ...session } }))
  const [one] = await rig.kept()
  assert.deepEqual(one?.input, whole(params))
  assert.deepEqual(one?.output, whole({ result: { ...result, echo: '(secret)' } }))
})

test('at /mcp our own tools are kept under our name, others under that of their server', async (t) => {
  verifies(t, 'S4-36')
  const upstream: RequestListener = (request, response) => {
    const { id, method } = JSON.parse(bodyOf(request)) as { id: unknown; method: string }
    const found = { supportedVersions: ['2026-07-28'], capabilities: { tools: {} } }
    const echo = { ...result, echo: request.headers.authorization }
    json({ jsonrpc: '2.0', id, result: method === 'tools/call' ? echo : found })(request, response)
  }
  const rig = await startRig(t, { callContentDays: 30, isUsable: true, upstream })
  for (const name of ['whoami', 'mcp__notes__search', 'nothing', 'mcp__nobody__x']) {
    await said(own(rig, { ...call, params: { ...params, name } }))
  }
  const kept = await rig.kept()
  assert.deepEqual(
    kept.map(({ server, tool }) => [server, tool]),
    [
      ['mcp', 'whoami'],
      ['notes', 'search'],
      ['mcp', 'nothing'],
      ['mcp', 'mcp__nobody__x'],
    ],
  )
  const [whoami, search, nothing] = kept
  assert.match(whoami?.output?.text ?? '', /^\{"result":\{.*alice@example.com/)
  assert.deepEqual(whoami?.input, whole({ ...params, name: 'whoami' }))
  assert.equal(JSON.parse(search?.input.text ?? '').name, 'search')
  assert.match(search?.output?.text ?? '', /^\{"result":\{.*private answer.*\(secret\)/)
  assert.match(nothing?.output?.text ?? '', /^\{"error":.*no such tool/)
})

test('at /mcp a refusal is kept, and of a stream its end', async (t) => {
  verifies(t, 'S4-36')
  const poor = await startRig(t, { callContentDays: 30, scopes: [] })
  await said(own(poor, { ...call, params: { name: 'whoami' } }))
  const [refused] = await poor.kept()
  assert.match(refused?.output?.text ?? '', /insufficient_scope/)

  const upstream: RequestListener = (request, response) => {
    const { id, method } = JSON.parse(bodyOf(request)) as { id: unknown; method: string }
    const found = { supportedVersions: ['2026-07-28'], capabilities: { tools: {} } }
    if (method !== 'tools/call')
      return json({ jsonrpc: '2.0', id, result: found })(request, response)
    const noted = { progressToken: 'p', progress: 1 }
    const note = text({ jsonrpc: '2.0', method: 'notifications/progress', params: noted })
    return stream(event(note), event(text({ jsonrpc: '2.0', id, result })))(request, response)
  }
  const rig = await startRig(t, { callContentDays: 30, isUsable: true, upstream })
  const asked = { name: 'mcp__notes__slow', arguments: {}, _meta: { progressToken: 'p' } }
  await (await own(rig, { ...call, params: asked })).text()
  const [streamed] = await rig.kept()
  assert.deepEqual(streamed?.output, whole({ result }))
})

function own({ gateway }: Rig, message: unknown): Promise<Response> {
  const request = new Request(`${tenant.issuer}/mcp`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${aliceToken}`,
      'content-type': 'application/json',
      ...both,
    },
    body: text(message),
  })
  return gateway.own(request, at)
}
