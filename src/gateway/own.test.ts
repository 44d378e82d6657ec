// Our own tools at `/mcp`, asked in both eras.
import assert from 'node:assert/strict'
import type { RequestListener } from 'node:http'
import { test } from 'node:test'
import { verifies } from '../../test/requirements.ts'
import {
  listen,
  aliceToken,
  at,
  bearer,
  bobToken,
  bodyOf,
  connectUrl,
  startRig,
  tenant,
} from './gateway.rig.ts'
import { said } from './said.rig.ts'

const call = { jsonrpc: '2.0', id: 3, method: 'tools/call' }
const asking = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': { elicitation: { url: {} } },
  'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
}
const whoAmI = {
  userId: 'usr_alice',
  email: 'alice@example.com',
  name: 'alice',
  tenant: 'default',
  clientId: 'mcp_oauth_1',
  scopes: ['mcp'],
}

test('whoami says who calls, in the era of sessions', async (t) => {
  verifies(t, 'S3-30')
  const rig = await startRig(t)

  const response = await rig.gateway.own(
    post({ ...call, params: { name: 'whoami', arguments: {} } }),
    at,
  )

  assert.equal(response.status, 200)
  assert.equal(response.headers.get('cache-control'), 'no-store')
  assert.deepEqual((await resultOf(response)).structuredContent, whoAmI)
  const [entry] = await rig.entries()
  assert.equal(entry?.type, 'call.completed')
  assert.equal(entry?.data?.['tool'], 'whoami')
})

test('whoami says who calls, in the era without sessions', async (t) => {
  verifies(t, 'S3-30')
  const rig = await startRig(t)
  const meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
    'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
  }

  const response = await rig.gateway.own(
    post(
      { ...call, params: { name: 'whoami', arguments: {}, _meta: meta } },
      { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'whoami' },
    ),
    at,
  )

  assert.equal(response.status, 200)
  assert.deepEqual((await resultOf(response)).structuredContent, whoAmI)
})

test('tools/list has whoami', async (t) => {
  const rig = await startRig(t)

  const response = await rig.gateway.own(post({ ...call, method: 'tools/list' }), at)

  const { tools } = await resultOf(response)
  assert.deepEqual(
    tools?.map(({ name }) => name),
    ['whoami', 'list_connections', 'connect'],
  )
})

test('without a token, with another server’s, or without the scope, nothing of ours answers', async (t) => {
  verifies(t, 'S3-31', 'S4-20', 'S1-84')
  const rig = await startRig(t, { scopes: [] })
  const list = { ...call, method: 'tools/list' }

  const without = await rig.gateway.own(post(list, { authorization: '' }), at)
  const foreign = await rig.gateway.own(post(list, { authorization: 'Bearer x' }), at)
  const scopeless = await rig.gateway.own(post(list), at)
  const elsewhere = await rig.gateway.own(post(list, { origin: 'https://evil.example' }), at)

  assert.deepEqual(
    [without, foreign, scopeless, elsewhere].map(({ status }) => status),
    [401, 401, 403, 403],
  )
  assert.match(
    without.headers.get('www-authenticate') ?? '',
    /resource_metadata="https:\/\/hub\.example\/\.well-known\/oauth-protected-resource\/mcp"/,
  )
  const entries = await rig.entries()
  assert.deepEqual(
    entries.map(({ type }) => type),
    ['call.refused'],
  )
})

test('two callers at once each get themselves', async (t) => {
  verifies(t, 'S4-3')
  const rig = await startRig(t)
  const names = await Promise.all(
    Array.from({ length: 50 }, async (_, index) => {
      const token = index % 2 === 0 ? aliceToken : bobToken
      const headers = { authorization: `Bearer ${token}` }
      const message = { ...call, params: { name: 'whoami', arguments: {} } }
      const response = await rig.gateway.own(post(message, headers), at)
      return (await resultOf(response)).structuredContent?.['name']
    }),
  )

  assert.deepEqual(
    names,
    names.map((_, index) => (index % 2 === 0 ? 'alice' : 'bob')),
  )
})

test('what is no JSON-RPC is 400, GET without a stream 405', async (t) => {
  const rig = await startRig(t)
  const url = `${tenant.issuer}/mcp`
  const headers = { authorization: `Bearer ${aliceToken}` }

  const broken = new Request(url, { method: 'POST', body: '{', headers })
  assert.equal((await rig.gateway.own(broken, at)).status, 400)
  assert.equal((await rig.gateway.own(new Request(url, { headers }), at)).status, 405)
})

test('a server that says nothing keeps nobody waiting, and the others and our own tools are there', async (t) => {
  verifies(t, 'S4-9')
  const rig = await startRig(t, { isUsable: true, listTimeMs: 50, upstream: () => {} })

  const response = await rig.gateway.own(post({ ...call, method: 'tools/list' }), at)

  const { tools, _meta: meta } = await resultOf(response)
  assert.ok(tools?.some(({ name }) => name === 'whoami'))
  assert.deepEqual(meta?.['latchkey/missing'], [{ server: 'notes', reason: 'upstream_timeout' }])
})

test('a tool that only a scope of its server opens is asked for with a challenge, and not listed', async (t) => {
  verifies(t, 'S3-32', 'R8')
  const toolScopes = [{ scope: 'notes:write', tools: ['put'] }]
  const tools = [{ name: 'put', inputSchema: { type: 'object' } }]
  const upstream = answering({ tools })
  const poor = await startRig(t, { isUsable: true, toolScopes, upstream })
  const rich = await startRig(t, {
    isUsable: true,
    toolScopes,
    upstream,
    scopes: ['mcp', 'notes:write'],
  })
  const put = { ...call, params: { name: 'mcp__notes__put', arguments: {} } }
  const namesAt = async ({ gateway }: typeof poor) => {
    const list = await resultOf(await gateway.own(post({ ...call, method: 'tools/list' }), at))
    return list.tools?.map(({ name }) => name).filter((name) => name.startsWith('mcp__'))
  }

  const refused = await poor.gateway.own(post(put), at)
  assert.equal(refused.status, 403)
  assert.match(
    refused.headers.get('www-authenticate') ?? '',
    /scope="mcp notes:write", error="insufficient_scope"/,
  )
  assert.equal(poor.asked(), 0)
  assert.deepEqual([await namesAt(poor), await namesAt(rich)], [[], ['mcp__notes__put']])
  assert.equal((await rich.gateway.own(post(put), at)).status, 200)
})

test('a state of ours comes back for the same call alone', async (t) => {
  verifies(t, 'A4-14', 'S4-11')
  const missing = {
    kind: 'authorization_required',
    connectUrl,
    connectionId: 'con_1',
    reason: 'never_connected',
    isShared: false,
  } as const
  const rig = await startRig(t, {
    isUsable: true,
    credentials: [missing, bearer],
    upstream: answering({}),
  })
  const headers = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call' }
  const ask = async (params: object, name = 'mcp__notes__echo') => {
    const message = { ...call, params: { name, arguments: {}, _meta: asking, ...params } }
    const request = post(message, { ...headers, 'mcp-name': name })
    return (await said(rig.gateway.own(request, at))) as Said
  }
  const { requestState, inputRequests } = (await ask({})).result ?? {}
  assert.ok(typeof requestState === 'string' && inputRequests !== undefined)
  const stale = { code: -32_602, reason: 'invalid_request_state' }
  for (const [params, name] of [
    [{ requestState: `${requestState}A` }],
    [{ requestState, arguments: { other: true } }],
    [{ requestState }, 'mcp__other__echo'],
    [{ requestState }, 'mcp__notes__other'],
  ] as const) {
    const { error } = await ask(params, name)
    assert.deepEqual({ code: error?.code, reason: error?.data['reason'] }, stale)
  }
  assert.equal(rig.seen.length, 0)
  assert.ok((await ask({ requestState })).result)
  assert.ok(rig.seen.every(({ body }) => !body.includes('requestState')))
})

test('a link that a server wants opened goes to the client whole, and nobody else opens it', async (t) => {
  verifies(t, 'C31')
  const opened: string[] = []
  const site = await listen(t, (request, response) => {
    opened.push(request.url ?? '')
    response.end()
  })
  const link = `${site}/pay?for=a%20book&at=%2Fshop#now`
  const elicit = { mode: 'url', elicitationId: 'e1', message: 'Pay first', url: link }
  const inputRequests = { pay: { method: 'elicitation/create', params: elicit } }
  const question = { resultType: 'input_required', inputRequests, requestState: 'theirs' }
  const rig = await startRig(t, { isUsable: true, upstream: answering(question) })
  const headers = {
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': 'tools/call',
    'mcp-name': 'mcp__notes__buy',
  }
  const ask = async (meta: object) => {
    const params = { name: 'mcp__notes__buy', arguments: {}, _meta: meta }
    return (await said(rig.gateway.own(post({ ...call, params }, headers), at))) as Said
  }
  const { result } = await ask(asking)
  assert.deepEqual(result?.inputRequests, inputRequests)
  assert.equal(result?.requestState, 'theirs')
  const silent = { ...asking, 'io.modelcontextprotocol/clientCapabilities': {} }
  assert.ok((await ask(silent)).error, 'who cannot show it is not asked')
  assert.deepEqual(opened, [])
})

/** A server of the newest revision that answers everything alike. */
function answering(result: Readonly<Record<string, unknown>>): RequestListener {
  return (request, response) => {
    const { id, method } = JSON.parse(bodyOf(request)) as { id: unknown; method: string }
    const found = { supportedVersions: ['2026-07-28'], capabilities: {} }
    const said = method === 'server/discover' ? found : { ...result, content: [] }
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ jsonrpc: '2.0', id, result: said }))
  }
}

function post(message: unknown, headers: Readonly<Record<string, string>> = {}): Request {
  return new Request(`${tenant.issuer}/mcp`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${aliceToken}`,
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      ...headers,
    },
    body: JSON.stringify(message),
  })
}

interface Result {
  readonly tools?: readonly { readonly name: string }[]
  readonly structuredContent?: Readonly<Record<string, unknown>>
  readonly _meta?: Readonly<Record<string, unknown>>
  readonly requestState?: string
  readonly inputRequests?: unknown
}

interface Said {
  readonly result?: Result
  readonly error?: { readonly code: number; readonly data: Readonly<Record<string, unknown>> }
}

async function resultOf(response: Response): Promise<Result> {
  return ((await said(response)) as Said).result ?? {}
}
