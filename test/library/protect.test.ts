// `latchkey/protect` in servers of other people's making, in front of a real Latchkey: Node's http with the SDK's 1.x, Express,
// Hono and `Request`/`Response` handlers. Each takes the same tokens and refuses the same ones.
import assert from 'node:assert/strict'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { getRequestListener } from '@hono/node-server'
import {
  OAuthError,
  OAuthErrorCode,
  requireBearerAuth as bearerAuth,
} from '@modelcontextprotocol/server'
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js'
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js'
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { Hono } from 'hono'
import {
  forFetch,
  forHono,
  forNode,
  introspection,
  jwks,
  protectMcpServer,
  tokenVerifier,
} from '../../src/protect/index.ts'
import type { AuthInfo, Caller, Protection, Verify } from '../../src/protect/index.ts'
import { listenOnLoopback } from '../counterparts/loopback.ts'
import { connectMcpClient } from '../counterparts/mcp-client.ts'
import { restAs, signIn } from '../harness.ts'
import { openDoors } from '../http/doors.ts'
import type { Doors } from '../http/doors.ts'
import { obtainTokens, register } from '../http/oauth-client.ts'
import { verifies } from '../requirements.ts'

const scopes = ['memories:read', 'memories:write']
const toolScopes = { store: ['memories:write'], '*': ['memories:read'] }

type Serve = (protection: Protection<Caller>, verify: Verify<Caller>) => RequestListener

const say = (auth: AuthInfo | undefined) => ({
  subject: auth?.extra?.['subject'] ?? null,
  scopes: auth?.scopes,
})

const servers: Readonly<Record<string, Serve>> = {
  'Node’s http': (protection) => {
    const guard = forNode(protection, { toolScopes })
    return (request, response) =>
      void guard(request, response, () => {
        const { auth, body } = request as { auth?: AuthInfo; body?: unknown } // what the guard has put there
        response.setHeader('content-type', 'application/json')
        response.end(JSON.stringify({ ...say(auth), body }))
      })
  },
  'Express with a body parser': (protection) => {
    const app = createMcpExpressApp()
    app.use(forNode(protection, { toolScopes }))
    app.use((request, response) => {
      const { auth } = request as { auth?: AuthInfo } // likewise
      response.json({ ...say(auth), body: request.body })
    })
    return app
  },
  Hono: (protection) => {
    const app = new Hono()
      .use(forHono(protection, { toolScopes }))
      .all('*', async (context) =>
        context.json({ ...say(context.get('auth')), body: await bodyOf(context.req.raw) }),
      )
    return listenerOf(async (request) => app.fetch(request))
  },
  'Request and Response': (protection) => {
    const guard = forFetch(protection, { toolScopes })
    return listenerOf(async (request) => {
      const passed = await guard(request)
      if (passed.kind === 'answer') return passed.response
      return Response.json({ ...say(passed.authInfo), body: await bodyOf(request) })
    })
  },
}

const plain: Serve = (...given) => servers['Request and Response']?.(...given) ?? assert.fail()

async function bodyOf(request: Request): Promise<unknown> {
  return request.method === 'POST' ? request.json() : undefined
}

function listenerOf(serve: (request: Request) => Promise<Response>): RequestListener {
  const listener = getRequestListener(serve, { overrideGlobalObjects: false })
  return (...pair) => void listener(...pair)
}

const call = (name: string) => ({ jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name } })

for (const [what, serve] of Object.entries(servers)) {
  test(`a server of ${what} lets in who has a token for it, and tells the others the way`, async (t) => {
    verifies(t, 'S3-29', 'S3-31', 'S3-32', 'S1-84', 'S1-85', 'T-36', 'T-37', 'A3-7', 'A3-8')
    const { doors, resource } = await behind(t, serve)
    const read = await tokenFor(doors, resource, 'memories:read')
    const ask = (token: string | undefined, body: unknown = call('recall')) =>
      fetch(resource, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        body: JSON.stringify(body),
      })

    const place = new URL('/.well-known/oauth-protected-resource/mcp', resource)
    const described = await fetch(place)
    assert.equal(described.headers.get('access-control-allow-origin'), '*')
    assert.deepEqual(await described.json(), {
      resource,
      authorization_servers: [doors.origin],
      scopes_supported: scopes,
      bearer_methods_supported: ['header'],
    })

    const stranger = await ask(undefined)
    const challenge = stranger.headers.get('www-authenticate') ?? ''
    assert.equal(stranger.status, 401)
    assert.ok(challenge.includes(`resource_metadata="${place.href}"`))
    assert.doesNotMatch(challenge, /error=/)
    const garbage = await ask('mcp_at_nonsense')
    assert.equal(garbage.status, 401)
    assert.match(garbage.headers.get('www-authenticate') ?? '', /error="invalid_token"/)

    const passed = await ask(read)
    assert.equal(passed.status, 200)
    const said = (await passed.json()) as { subject: string; scopes: string[]; body: unknown }
    assert.match(said.subject, /^usr_/)
    assert.deepEqual(said.scopes, ['memories:read'])
    const huge = await ask(read, { ...call('recall'), padding: 'x'.repeat(5 * 1024 * 1024) })
    assert.equal(huge.status, 413, 'it is told, and not cut off')
    assert.deepEqual(said.body, call('recall'), 'the body is still there')

    for (const body of [call('store'), [call('recall'), call('store')]]) {
      const refused = await ask(read, body)
      const needs = refused.headers.get('www-authenticate') ?? ''
      assert.equal(refused.status, 403)
      assert.match(needs, /error="insufficient_scope"/)
      // A client that asks for what it is told must not lose what it has.
      assert.match(needs, /scope="memories:read memories:write"/)
      assert.equal(((await refused.json()) as { id: unknown }).id, 7)
    }
    const write = await tokenFor(doors, resource, 'memories:read memories:write')
    assert.equal((await ask(write, call('store'))).status, 200)

    // Revoked is revoked on the next call.
    const grants = await restAs(await signIn(doors.origin), doors.origin)('GET', '/grants')
    for (const { id } of grants.body.items) await end(doors, id)
    assert.equal((await ask(write)).status, 401)
  })
}

async function end({ origin }: Doors, grantId: string): Promise<void> {
  await restAs(await signIn(origin), origin)('DELETE', `/grants/${grantId}`)
}

/** A server behind a real Latchkey that it asks about tokens. */
async function behind(t: TestContext, serve: Serve, tokenFormat: 'opaque' | 'jwt' = 'opaque') {
  const doors = await openDoors(t)
  let listener: RequestListener = (_request, response) => void response.writeHead(503).end()
  const running = await listenOnLoopback(() => (request, response) => listener(request, response))
  t.after(running.stop)
  const resource = `${running.origin}/mcp`
  const rest = restAs(await signIn(doors.origin), doors.origin)
  const made = await rest('POST', '/clients', {
    name: 'The server',
    redirectUris: [],
    authMethod: 'client_secret_basic',
    grantTypes: ['client_credentials'],
    resource,
  })
  doors.alsoSecret([made.body.clientSecret])
  const verify =
    tokenFormat === 'jwt'
      ? jwks({ issuer: doors.origin })
      : introspection({
          issuer: doors.origin,
          clientId: made.body.id,
          clientSecret: made.body.clientSecret,
        })
  listener = serve(protectMcpServer({ resource, issuer: doors.origin, scopes, verify }), verify)
  const added = await rest('POST', '/servers', {
    url: resource,
    slug: 'memories',
    issuer: doors.origin,
    tokenFormat,
    toolScopes: scopes.map((scope) => ({ scope, tools: [] })),
  })
  assert.equal(added.status, 201, JSON.stringify(added.body))
  return { doors, resource, verify }
}

async function tokenFor(doors: Doors, resource: string, scope: string): Promise<string> {
  const client = await register(doors)
  const browser = await signIn(doors.origin)
  return (await obtainTokens(doors, browser, client, { resource, scope })).accessToken
}

test('signed tokens are read without a call for them, and those of a sibling are refused', async (t) => {
  verifies(t, 'P-24', 'X-17')
  const { doors, resource } = await behind(t, plain, 'jwt')
  const token = await tokenFor(doors, resource, 'memories:read')
  assert.equal(token.split('.').length, 3)
  const headers = { authorization: `Bearer ${token}` }
  assert.equal((await fetch(resource, { headers })).status, 200)
  const sibling = protectMcpServer({
    resource: `${resource}-admin`,
    issuer: doors.origin,
    scopes,
    verify: jwks({ issuer: doors.origin }),
  })
  const verdict = await sibling.guard({ headers })
  assert.equal(verdict.kind === 'refused' && verdict.status, 401)
})

test('a server of the SDK 1.x with its own bearer middleware takes the same tokens', async (t) => {
  const { doors, resource } = await behind(t, (protection, verify) => {
    const app = createMcpExpressApp()
    const { resource } = protection
    const invalidToken = (words: string) => new InvalidTokenError(words)
    const verifier = tokenVerifier({ resource, verify, invalidToken })
    const guard = requireBearerAuth({ verifier, requiredScopes: ['memories:read'] })
    app.use('/.well-known', forNode(protection))
    app.post('/mcp', guard, (request, response) => {
      void answerWithSdk(request, response)
    })
    return app
  })
  const token = await tokenFor(doors, resource, 'memories:read')
  const client = await connectMcpClient({ url: resource, token, era: 'legacy' })
  const { content } = await client.callTool({ name: 'whose' })
  assert.match(JSON.stringify(content), /usr_/)
  await client.close()
  const place = new URL('/.well-known/oauth-protected-resource/mcp', resource)
  assert.equal((await fetch(place)).status, 200)
  const refused = await fetch(resource, { method: 'POST', headers: { authorization: 'Bearer x' } })
  assert.equal(refused.status, 401)
})

type Pair = [request: IncomingMessage & { readonly body?: unknown }, response: ServerResponse]

async function answerWithSdk(...[request, response]: Pair): Promise<void> {
  const server = new McpServer({ name: 'old', version: '1.0.0' })
  server.registerTool('whose', {}, ({ authInfo }) => ({
    content: [{ type: 'text', text: String(authInfo?.extra?.['subject']) }],
  }))
  const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true })
  await server.connect(transport)
  await transport.handleRequest(request, response, request.body)
}

test('the bearer helper of the SDK 2.x takes the verifier too', async (t) => {
  const { doors, resource, verify } = await behind(t, plain)
  const invalidToken = (words: string) => new OAuthError(OAuthErrorCode.InvalidToken, words)
  const guard = bearerAuth({ verifier: tokenVerifier({ resource, verify, invalidToken }) })
  const ask = (token: string) =>
    guard(new Request(resource, { headers: { authorization: `Bearer ${token}` } }))
  const passed = await ask(await tokenFor(doors, resource, 'memories:read'))
  assert.ok(!(passed instanceof Response))
  assert.match(String(passed.extra?.['subject']), /^usr_/)
  const refused = await ask('x')
  assert.ok(refused instanceof Response && refused.status === 401)
})
