// A server that is told who calls by our signed word, and checks it with nothing but the standard library for that and our
// published keys; and one that asked for plain header fields. Neither is ever told anything by the caller.
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import type { TestContext } from 'node:test'
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import type { JWTPayload } from 'jose'
import { startMcpServer } from '../counterparts/mcp-server.ts'
import { createManualClock } from '../../src/base/clock.ts'
import { restAs, signIn, startTestPlatform } from '../harness.ts'
import type { TestPlatformOptions } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import type { Store } from '../../src/store/database.ts'
import { signInClient } from './signed-in-client.ts'

const typ = 'latchkey-assertion+jwt'
const echo = { name: 'echo', arguments: { text: 'hello' } }

/** A server that lets in whom the platform at `origin` introduces to it. */
async function startIntroduced(t: TestContext, origin: string) {
  const keys = createRemoteJWKSet(new URL(`${origin}/oauth/jwks`))
  const introduced: JWTPayload[] = []
  const server = await startMcpServer((at) => async (request) => {
    const token = /^Bearer (\S+)$/.exec(request.headers.get('authorization') ?? '')?.[1] ?? ''
    try {
      const audience = `${at}/mcp`
      const { payload } = await jwtVerify(token, keys, { issuer: origin, audience, typ })
      introduced.push(payload)
      return undefined
    } catch (thrown) {
      return new Response(String(thrown), { status: 401 })
    }
  })
  t.after(() => server.stop())
  return { ...server, introduced }
}

async function start(t: TestContext, store: Store, options: TestPlatformOptions = {}) {
  const platform = await startTestPlatform(t, store, options)
  const { origin } = platform
  const browser = await signIn(origin)
  const rest = restAs(browser, origin)
  return { ...platform, browser, rest }
}

onEveryDatabase('a server is told who calls by our signed word', async (t, store) => {
  verifies(t, 'S4-12', 'S4-11')
  const { origin, browser, rest, alsoSecret } = await start(t, store)
  const server = await startIntroduced(t, origin)
  const added = await rest('POST', '/servers', {
    url: server.url,
    slug: 'notes',
    auth: 'assertion',
  })
  assert.equal(added.status, 201)
  assert.equal(added.body.auth, 'assertion')
  assert.equal(added.body.identityHeaders, false)

  const { client, clientInformation } = await signInClient({
    origin,
    url: `${origin}/notes/mcp`,
    browser,
  })
  assert.match(JSON.stringify(await client.callTool(echo)), /hello/)
  await client.close()
  const { introduced } = server
  const said = introduced.at(-1) ?? {}
  const { sub, jti, iat = 0, exp = 0, ...claims } = said
  assert.match(sub ?? '', /^usr_/)
  assert.equal(exp - iat, 60)
  assert.deepEqual(claims, {
    iss: origin,
    aud: server.url,
    email: 'ada@example.com',
    email_verified: claims['email_verified'],
    client_id: clientInformation()?.client_id,
    ...('name' in claims ? { name: claims['name'] } : {}),
  })
  // Each call has one of its own.
  assert.equal(new Set(introduced.map((one) => one.jti)).size, introduced.length)
  assert.match(jti ?? '', /^jti_/)
  const tokens = server.calls().map(({ headers }) => headers['authorization']?.slice(7) ?? '')
  assert.equal(decodeProtectedHeader(tokens[0] ?? '').typ, typ)
  alsoSecret(tokens)

  // The test of a server is by the person themselves, through no client.
  const tested = await rest('POST', `/servers/${added.body.id}/test`)
  assert.equal(tested.body.ok, true)
  assert.equal(introduced.at(-1)?.['client_id'], undefined)
  assert.equal(introduced.at(-1)?.sub, sub)
  alsoSecret(server.calls().map(({ headers }) => headers['authorization']?.slice(7) ?? ''))
})

onEveryDatabase(
  'our word is for one server, for a minute, and no token of ours',
  async (t, store) => {
    verifies(t, 'S4-11', 'X-17', 'A3-6')
    const clock = createManualClock(Date.now())
    const { origin, browser, rest, alsoSecret } = await start(t, store, { clock })
    const first = await startIntroduced(t, origin)
    const second = await startIntroduced(t, origin)
    await rest('POST', '/servers', { url: first.url, slug: 'first', auth: 'assertion' })
    const { client } = await signInClient({ origin, url: `${origin}/first/mcp`, browser })
    await client.callTool(echo)
    await client.close()
    const authorization = first.calls().at(-1)?.headers['authorization'] ?? ''
    const replay = (url: string) => askTools(url, authorization)
    assert.equal((await replay(second.url)).status, 401)
    assert.match(await (await replay(second.url)).text(), /"aud"/)
    assert.equal((await replay(`${origin}/first/mcp`)).status, 401)
    const { status } = await fetch(`${origin}/oauth/userinfo`, { headers: { authorization } })
    assert.equal(status, 401)
    const keys = createRemoteJWKSet(new URL(`${origin}/oauth/jwks`))
    const judge = { issuer: origin, audience: first.url, typ }
    const at = (seconds: number) =>
      jwtVerify(authorization.slice(7), keys, {
        ...judge,
        currentDate: new Date(clock.now() + seconds * 1000),
      })
    await at(59)
    await assert.rejects(at(60), /"exp"/)
    await assert.rejects(
      jwtVerify(authorization.slice(7), keys, { ...judge, typ: 'at+jwt' }),
      /typ/,
    )
    alsoSecret([authorization.slice(7)])
  },
)

onEveryDatabase(
  'who calls is said in header fields where an administrator asked for it, and never by the caller',
  async (t, store) => {
    verifies(t, 'X-29', 'P-81')
    const { origin, browser, rest } = await start(t, store)
    const server = await startMcpServer(() => async () => undefined)
    t.after(() => server.stop())
    const { body: added } = await rest('POST', '/servers', {
      url: server.url,
      slug: 'plain',
      auth: 'none',
    })
    const { client, tokens } = await signInClient({ origin, url: `${origin}/plain/mcp`, browser })
    await client.close()
    const token = tokens()?.access_token ?? ''
    const forged = [
      'X-Latchkey-User: usr_root',
      'x-latchkey-email: root@example.com',
      'X_Latchkey_User: usr_root',
      'X-LATCHKEY-Email-Verified: true',
      'X-Forwarded-User: root',
      'X-Latchkey-Name: Root',
      'X-Latchkey-Name: Root again',
      'Connection: keep-alive, x-latchkey-user, authorization',
    ]
    const seenAfter = async () => {
      const answer = await rawCall(origin, { path: '/plain/mcp', token, forged })
      assert.match(answer, /^HTTP\/1\.1 200/)
      const { headers = {} } = server.calls().at(-1) ?? {}
      assert.ok(!/root/i.test(JSON.stringify(headers)), JSON.stringify(headers))
      return Object.fromEntries(
        Object.entries(headers).filter(([name]) => /^x.latchkey/.test(name)),
      )
    }
    assert.deepEqual(await seenAfter(), {})

    const changed = await rest('PATCH', `/servers/${added.id}`, { identityHeaders: true })
    assert.equal(changed.body.identityHeaders, true)
    const told = await seenAfter()
    assert.match(told['x-latchkey-user'] ?? '', /^usr_/)
    assert.equal(told['x-latchkey-email'], 'ada@example.com')
    assert.match(told['x-latchkey-email-verified'] ?? '', /^(true|false)$/)
    assert.match(told['x-latchkey-client'] ?? '', /^mcp_oauth_/)
    assert.equal(told['x-latchkey-tenant'], 'default')

    // A change of something else keeps the choice, and taking it back holds with the next call.
    await rest('PATCH', `/servers/${added.id}`, { name: 'Other' })
    assert.match((await seenAfter())['x-latchkey-user'] ?? '', /^usr_/)
    await rest('PATCH', `/servers/${added.id}`, { identityHeaders: false })
    assert.deepEqual(await seenAfter(), {})

    const fixed = await rest('PATCH', `/servers/${added.id}`, {
      auth: 'headers',
      headers: { 'X-Latchkey-User': 'usr_root' },
    })
    assert.equal(fixed.status, 422)
  },
)

function askTools(url: string, authorization: string): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json', accept: 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
  })
}

/** One call as bytes: what `fetch` would not send. */
function rawCall(
  origin: string,
  {
    path,
    token,
    forged,
  }: { readonly path: string; readonly token: string; readonly forged: readonly string[] },
): Promise<string> {
  const { host, port } = new URL(origin)
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' })
  const lines = [
    `POST ${path} HTTP/1.1`,
    `Host: ${host}`,
    `Authorization: Bearer ${token}`,
    'Content-Type: application/json',
    'Accept: application/json, text/event-stream',
    `Content-Length: ${body.length}`,
    ...forged,
  ]
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), '127.0.0.1')
    let answer = ''
    socket.on('data', (chunk) => {
      answer += chunk.toString()
      if (/"id":1\b/.test(answer) || /^HTTP\/1\.1 [^2]/.test(answer)) socket.end()
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(answer))
    socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`)
  })
}
