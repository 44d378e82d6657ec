// The two verifiers against an authorization server whose every answer is chosen: what makes a caller and what does not, what
// is asked how often, and what a server does while it cannot ask.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import type { CryptoKey } from 'jose'
import { isFault } from '../base/fault.ts'
import { Secret } from '../base/secret.ts'
import { introspection, jwks, protectMcpServer } from './index.ts'
import type { Caller, Verify } from './index.ts'
import { verifies } from '../../test/requirements.ts'

const issuer = 'https://as.example'
const resource = 'https://server.example/mcp'
const nowS = 1_800_000_000
const at = { resource }

/** An authorization server made of answers; it counts who asks where. */
function createServer() {
  const asked: { readonly url: string; readonly init: RequestInit }[] = []
  const answers = new Map<string, () => Response | Promise<Response>>()
  const fetch = async (url: string, init: RequestInit = {}) => {
    asked.push({ url, init })
    const answer = answers.get(new URL(url).pathname)
    return answer === undefined ? new Response(null, { status: 404 }) : answer()
  }
  const say = (path: string, json: unknown) => answers.set(path, () => Response.json(json))
  say('/.well-known/oauth-authorization-server', {
    issuer,
    introspection_endpoint: `${issuer}/introspect`,
    jwks_uri: `${issuer}/jwks`,
  })
  const count = (path: string) => asked.filter(({ url }) => new URL(url).pathname === path).length
  return { fetch, asked, answers, say, count }
}

const alive = {
  active: true,
  iss: issuer,
  aud: resource,
  sub: 'usr_1',
  client_id: 'app',
  scope: 'notes:read notes:write',
  exp: nowS + 60,
}

function asking(server: ReturnType<typeof createServer>, more: { cacheMs?: number } = {}) {
  const clock = { nowMs: nowS * 1000 }
  const verify = introspection({
    issuer,
    clientId: 'notes server',
    clientSecret: 'p&ss:word',
    fetch: server.fetch,
    now: () => clock.nowMs,
    ...more,
  })
  return { clock, verify }
}

const token = (text: string) => ({ token: new Secret(text) })

test('introspection makes a caller of what the server says of a token', async () => {
  const server = createServer()
  server.say('/introspect', alive)
  const { verify } = asking(server)
  const caller = await verify(token('t'), at)
  assert.deepEqual(
    [caller?.subject, caller?.clientId, caller?.scopes, caller?.expiresAt],
    ['usr_1', 'app', ['notes:read', 'notes:write'], nowS + 60],
  )
  const sent = new Request(server.asked.at(-1)?.url ?? '', server.asked.at(-1)?.init)
  // RFC 6749 §2.3.1
  const basic = Buffer.from('notes+server:p%26ss%3Aword').toString('base64')
  assert.equal(sent.headers.get('authorization'), `Basic ${basic}`)
  assert.equal(await sent.text(), 'token=t&token_type_hint=access_token')
  await verify(token('t'), at)
  assert.equal(server.count('/introspect'), 2, 'nothing is cached unless said')
  assert.equal(server.count('/.well-known/oauth-authorization-server'), 1)
})

const refusedClaims: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
  ['is not active', { active: false }],
  ['is active in a word only', { active: 'true' }],
  ['is of another issuer', { iss: 'https://as.example/' }],
  ['is for another server', { aud: 'https://server.example/mcp-admin' }],
  ['is for a place below', { aud: `${resource}/x` }],
  ['is for others too', { aud: [resource, 'https://other.example'] }],
  ['is for nobody', { aud: undefined }],
  ['ends now', { exp: nowS }],
  ['never ends', { exp: undefined }],
  ['has no subject', { sub: undefined }],
  ['has no client', { client_id: undefined }],
  ['is bound to a key', { cnf: { jkt: 'x' } }],
]

for (const [what, changes] of refusedClaims) {
  test(`a token that ${what} makes no caller [P-12] [P-24] [X-17]`, async (t) => {
    verifies(t, 'P-12', 'P-24', 'X-17', 'S1-86')
    const server = createServer()
    server.say('/introspect', { ...alive, ...changes })
    assert.equal(await asking(server).verify(token('t'), at), undefined)
  })
}

test('an answer is kept as long as was said, never past the end of the token, and no refusal is', async () => {
  const server = createServer()
  server.say('/introspect', { ...alive, exp: nowS + 2 })
  const { clock, verify } = asking(server, { cacheMs: 5_000 })
  await verify(token('t'), at)
  clock.nowMs += 1_999
  assert.ok(await verify(token('t'), at))
  assert.equal(server.count('/introspect'), 1)
  assert.equal(await verify(token('t'), { resource: 'https://other.example/mcp' }), undefined)
  clock.nowMs += 1
  assert.equal(await verify(token('t'), at), undefined)
  assert.equal(server.count('/introspect'), 3)

  server.say('/introspect', { active: false })
  await verify(token('u'), at)
  server.say('/introspect', { ...alive, exp: nowS + 600 })
  assert.ok(await verify(token('u'), at))
  for (let one = 0; one < 1_000; one += 1) await verify(token(`many ${one}`), at)
  const before = server.count('/introspect')
  await verify(token('u'), at)
  assert.equal(server.count('/introspect'), before + 1, 'only a thousand are kept')
  assert.throws(() => asking(server, { cacheMs: 5_001 }), /cacheMs/)
})

const silences: readonly (readonly [string, () => Response | Promise<Response>])[] = [
  ['does not answer', () => Promise.reject(new TypeError('fetch failed'))],
  ['answers with an error', () => new Response('', { status: 500 })],
  ['answers with no JSON', () => new Response('<html>')],
  ['answers with a list', () => Response.json([])],
  ['answers without end', () => new Response('x'.repeat(300_000))],
]

for (const [what, answer] of silences) {
  test(`while the authorization server ${what}, a client is told to come again, not to sign in`, async (t) => {
    verifies(t, 'S1-84')
    const { publicKey, privateKey } = await generateKeyPair('ES256')
    const server = createServer()
    server.answers.set('/introspect', answer)
    server.answers.set('/jwks', answer)
    const signed = await sign(privateKey, await kidOf(publicKey))
    const both: readonly [Verify<Caller>, string][] = [
      [asking(server).verify, 't'],
      [reading(server).verify, signed],
    ]
    for (const [verify, text] of both) {
      const protection = protectMcpServer({ resource, issuer, scopes: ['a'], verify })
      const verdict = await protection.guard({ headers: { authorization: `Bearer ${text}` } })
      assert.equal(verdict.kind, 'refused')
      assert.ok(verdict.kind === 'refused')
      assert.deepEqual([verdict.status, verdict.headers['retry-after']], [503, '30'])
    }
  })
}

test('a server that the authorization server does not know hears so, and nobody is told its secret', async () => {
  const server = createServer()
  server.answers.set('/introspect', () => new Response('', { status: 401 }))
  const problem = await asking(server)
    .verify(token('t'), at)
    .catch((thrown: unknown) => thrown)
  assert.ok(problem instanceof Error && !isFault(problem))
  assert.match(problem.message, /refuses clientId and clientSecret/)
  assert.doesNotMatch(problem.message, /p&ss/)
})

test('metadata of another issuer, and endpoints that are not https, are not used', async () => {
  for (const changes of [
    { issuer: `${issuer}/` },
    { introspection_endpoint: 'http://as.example/i' },
  ]) {
    const server = createServer()
    server.say('/introspect', alive)
    server.say('/.well-known/oauth-authorization-server', {
      issuer,
      introspection_endpoint: `${issuer}/introspect`,
      ...changes,
    })
    await assert.rejects(asking(server).verify(token('t'), at))
    assert.equal(server.count('/introspect'), 0)
  }
  assert.throws(() => jwks({ issuer: 'http://as.example' }), /issuer must be an https/)
  jwks({ issuer: 'http://localhost:8787' })
})

function reading(server: ReturnType<typeof createServer>) {
  const clock = { nowMs: nowS * 1000 }
  return { clock, verify: jwks({ issuer, fetch: server.fetch, now: () => clock.nowMs }) }
}

type Changes = Readonly<Record<string, unknown>>

async function kidOf(key: CryptoKey): Promise<string> {
  return calculateJwkThumbprint(await exportJWK(key))
}

const claims = {
  iss: issuer,
  aud: resource,
  sub: 'usr_1',
  client_id: 'app',
  scope: 'notes:read',
  iat: nowS,
  exp: nowS + 60,
  jti: 'jti_1',
}

function sign(key: CryptoKey | Uint8Array, kid: string, changes: Changes = {}, header = {}) {
  return new SignJWT({ ...claims, ...changes })
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid, ...header })
    .sign(key)
}

async function withKeys() {
  const server = createServer()
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const kid = await kidOf(publicKey)
  server.say('/jwks', { keys: [{ ...(await exportJWK(publicKey)), kid, alg: 'ES256' }] })
  return { server, privateKey, kid, ...reading(server) }
}

test('a signed token makes a caller without a call for it', async () => {
  const { server, verify, privateKey, kid } = await withKeys()
  const signed = await sign(privateKey, kid)
  for (let time = 0; time < 3; time += 1) {
    const caller = await verify(token(signed), at)
    assert.deepEqual([caller?.subject, caller?.scopes], ['usr_1', ['notes:read']])
  }
  assert.equal(server.count('/jwks'), 1)
})

const badTokens: readonly (readonly [string, Changes, object])[] = [
  ['is an ID token', {}, { typ: 'JWT' }],
  ['says no type', {}, { typ: undefined }],
  ['is of another issuer', { iss: 'https://other.example' }, {}],
  ['is for another server', { aud: 'https://server.example/mcp2' }, {}],
  ['is for others too', { aud: [resource, 'https://other.example'] }, {}],
  ['has ended', { exp: nowS - 6 }, {}],
  ['never ends', { exp: undefined }, {}],
  ['was made tomorrow', { iat: nowS + 86_400 }, {}],
  ['says not when it was made', { iat: undefined }, {}],
  ['has no client', { client_id: undefined }, {}],
  ['is bound to a key', { cnf: { jkt: 'x' } }, {}],
]

for (const [what, changes, header] of badTokens) {
  test(`a signed token that ${what} makes no caller [X-17] [X-21]`, async (t) => {
    verifies(t, 'X-17', 'X-21', 'S1-86')
    const { verify, privateKey, kid } = await withKeys()
    assert.equal(await verify(token(await sign(privateKey, kid, changes, header)), at), undefined)
  })
}

test('no signature, a shared secret, another key and no JWT at all make no caller [X-21] [P-27]', async (t) => {
  verifies(t, 'X-21', 'P-27')
  const { server, verify, kid } = await withKeys()
  const { privateKey: stranger } = await generateKeyPair('ES256')
  const secret = new TextEncoder().encode(JSON.stringify({ kid }).padEnd(32, 'x'))
  const bad = [
    new UnsecuredJWT(claims).encode(),
    await sign(secret, kid, {}, { alg: 'HS256' }),
    await sign(stranger, kid),
    'mcp_at_opaque',
    'a.b.c',
    'x'.repeat(9_000),
  ]
  for (const text of bad) assert.equal(await verify(token(text), at), undefined, text.slice(0, 40))
  assert.ok(server.count('/jwks') <= 1)
})

test('a new key is found by its name, and strangers’ names do not have the keys fetched again and again', async (t) => {
  verifies(t, 'X-21')
  t.mock.timers.enable({ apis: ['Date'], now: nowS * 1000 })
  const { server, verify, privateKey, kid } = await withKeys()
  for (let one = 0; one < 50; one += 1) {
    assert.equal(await verify(token(await sign(privateKey, `unknown ${one}`)), at), undefined)
  }
  assert.equal(server.count('/jwks'), 1)
  assert.ok(await verify(token(await sign(privateKey, kid)), at))

  const next = await generateKeyPair('ES256')
  const nextKid = await kidOf(next.publicKey)
  server.say('/jwks', {
    keys: [{ ...(await exportJWK(next.publicKey)), kid: nextKid, alg: 'ES256' }],
  })
  t.mock.timers.tick(29_999)
  assert.equal(await verify(token(await sign(next.privateKey, nextKid)), at), undefined)
  t.mock.timers.tick(1)
  assert.ok(await verify(token(await sign(next.privateKey, nextKid)), at))
  assert.equal(
    await verify(token(await sign(privateKey, kid)), at),
    undefined,
    'the old one is gone',
  )
  assert.equal(server.count('/jwks'), 2)
})
