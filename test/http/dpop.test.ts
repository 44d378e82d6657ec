// Tokens that are bound to a key, at every door that takes one (RFC 9449): what a thief can do with one, what a refusal says,
// and that neither token nor proof is seen by a server behind us.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import { createProver } from '../../src/oauth/dpop.rig.ts'
import type { ProofOrder, Prover } from '../../src/oauth/dpop.rig.ts'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import type { Store } from '../../src/store/database.ts'
import { addServer, assertAnswer, openDoors, openDoorsOn } from './doors.ts'
import type { Answer, Ask, Doors } from './doors.ts'
import { obtainCode, obtainTokens, register, verifier } from './oauth-client.ts'
import type { OAuthClient } from './oauth-client.ts'

const accept = 'application/json, text/event-stream'
const list = { jsonrpc: '2.0', id: 2, method: 'tools/list', params: {} }
const userInfo = '/oauth/userinfo'

interface Place {
  readonly doors: Doors
  readonly server: Awaited<ReturnType<typeof startOpenMcpServer>>
  readonly client: OAuthClient
  readonly clock: ReturnType<typeof createManualClock>
  readonly own: Prover
  readonly thief: Prover
  /** A code for a resource of ours. */
  readonly codeFor: (path: string, scope?: string) => Promise<string>
  /** A nonce as an answer gave it. */
  readonly nonce: () => Promise<string>
}

/** A platform with one open server behind it, a person and a public client. */
async function start(t: TestContext, store?: Store): Promise<Place> {
  const clock = createManualClock(Date.now())
  const doors = await (store === undefined
    ? openDoors(t, { clock })
    : openDoorsOn(t, store, { clock }))
  const server = await startOpenMcpServer()
  t.after(server.stop)
  const browser = await signIn(doors.origin)
  await addServer(doors, browser, { url: server.url, slug: 'notes' })
  const client = await register(doors)
  return {
    doors,
    server,
    client,
    clock,
    own: await createProver(),
    thief: await createProver('RS256'),
    codeFor: (path, scope = 'mcp openid') =>
      obtainCode(doors, browser, client, {
        scope,
        prompt: 'consent',
        ...(path === userInfo ? {} : { resource: doors.origin + path }),
      }),
    nonce: async () => {
      const refused = await doors.ask({ path: '/mcp', json: list, headers: { accept } })
      return refused.headers.get('dpop-nonce') ?? assert.fail('there is no nonce')
    },
  }
}

type Order = Partial<ProofOrder> & { readonly path: string; readonly method: string }

/** A proof of this sender; no log, answer or page may ever show it. */
async function prove(place: Place, prover: Prover, { path, ...order }: Order): Promise<string> {
  const { doors, clock } = place
  const proof = await prover.prove({
    url: doors.origin + path,
    now: clock.now(),
    nonce: await place.nonce(),
    ...order,
  })
  doors.alsoSecret([proof])
  return proof
}

function redeemForm(client: OAuthClient, code: string) {
  return {
    grant_type: 'authorization_code',
    client_id: client.id,
    code,
    redirect_uri: client.redirectUri,
    code_verifier: verifier,
  }
}

async function boundToken(place: Place, path: string, scope?: string): Promise<string> {
  const { doors, client, own, codeFor } = place
  const form = redeemForm(client, await codeFor(path, scope))
  const dpop = await prove(place, own, { path: '/oauth/token', method: 'POST' })
  const answer = await doors.ask({ path: '/oauth/token', form, headers: { dpop } })
  assert.equal(answer.status, 200, answer.text)
  assert.equal(answer.json.token_type, 'DPoP')
  return answer.json.access_token
}

/** A call of the endpoint as a good client makes it. */
function callOf(path: string, headers: Readonly<Record<string, string>>): Ask {
  return path === userInfo
    ? { path, headers }
    : { path, json: list, headers: { accept, ...headers } }
}

const methodOf = (path: string) => (path === userInfo ? 'GET' : 'POST')

/** The error of a DPoP challenge; the Bearer challenge before it always stands as it did. */
function dpopErrorOf(answer: Answer): string | undefined {
  const challenge = answer.headers.get('www-authenticate') ?? ''
  const [, bearer = '', dpop = ''] = /^(Bearer.*), DPoP (.*)$/.exec(challenge) ?? []
  assert.doesNotMatch(bearer, /error/, challenge)
  assert.match(dpop, /algs="ES256 PS256 RS256 Ed25519 EdDSA"$/, challenge)
  return /error="(\w+)"/.exec(dpop)?.[1]
}

for (const path of ['/mcp', '/notes/mcp', userInfo]) {
  onEveryDatabase(
    `a token that is bound to a key opens ${path} with it alone`,
    async (t, store) => {
      const place = await start(t, store)
      const { doors, server, own, thief } = place
      const token = await boundToken(place, path)
      const method = methodOf(path)
      const ask = async (prover: Prover, order: Partial<Order> = {}) => {
        const dpop = await prove(place, prover, { path, method, token, ...order })
        return doors.ask(callOf(path, { authorization: `DPoP ${token}`, dpop }))
      }
      const reached = server.calls().length

      await t.test('another key is refused', async () => {
        const answer = await ask(thief)
        assertAnswer(answer, { status: 401, error: 'invalid_token' })
        assert.equal(dpopErrorOf(answer), 'invalid_token')
      })
      await t.test('so is no key, whatever comes beside it: RFC 9449 §7.2', async () => {
        const dpop = await prove(place, own, { path, method, token })
        for (const beside of [{}, { dpop }]) {
          const answer = await doors.ask(
            callOf(path, { authorization: `Bearer ${token}`, ...beside }),
          )
          assertAnswer(answer, { status: 401, error: 'invalid_token' })
          const challenge = answer.headers.get('www-authenticate') ?? ''
          assert.match(challenge, /^Bearer .*error="invalid_token".*, DPoP algs="/)
        }
      })
      await t.test('a proof for another request is refused', async () => {
        for (const order of [
          { path: '/other/mcp' },
          { method: 'DELETE' },
          { token: 'mcp_at_other' },
          { url: `http://evil.test${path}` },
        ]) {
          const answer = await ask(own, order)
          assertAnswer(answer, { status: 401, error: 'invalid_dpop_proof' })
          assert.equal(dpopErrorOf(answer), 'invalid_dpop_proof')
        }
      })
      await t.test('without a good nonce the answer gives one', async () => {
        for (const nonce of ['', 'old']) {
          const answer = await ask(own, { nonce })
          assertAnswer(answer, { status: 401, error: 'use_dpop_nonce' })
          assert.equal(dpopErrorOf(answer), 'use_dpop_nonce')
          assert.match(answer.headers.get('dpop-nonce') ?? '', /^\d+\.[\w-]{43}$/)
        }
      })
      await t.test('a missing, doubled or broken proof is refused', async () => {
        const good = await prove(place, own, { path, method, token })
        for (const dpop of [undefined, '', `${good}, ${good}`, good.slice(1)]) {
          const beside = dpop === undefined ? {} : { dpop }
          const answer = await doors.ask(
            callOf(path, { authorization: `DPoP ${token}`, ...beside }),
          )
          assertAnswer(answer, { status: 401, error: 'invalid_dpop_proof' })
        }
      })
      await t.test('nothing of it reached a server', () => {
        assert.equal(server.calls().length, reached)
      })
      await t.test(
        'its own key opens, once for each proof, and the answer has a nonce',
        async () => {
          const dpop = await prove(place, own, { path, method, token })
          const request = callOf(path, { authorization: `DPoP ${token}`, dpop })
          const answer = await doors.ask(request)
          assertAnswer(answer, { status: 200 })
          assert.match(answer.headers.get('dpop-nonce') ?? '', /^\d+\.[\w-]{43}$/)
          const again = await doors.ask(request)
          assertAnswer(again, { status: 401, error: 'invalid_dpop_proof' })
          assert.equal((await ask(own)).status, 200)
        },
      )
      await t.test('no server saw the token or a proof', () => {
        const seen = JSON.stringify(server.calls().map(({ headers, body }) => [headers, body]))
        assert.ok(!seen.includes(token) && !/dpop|eyJ/i.test(seen), seen)
        assert.equal(server.calls().length > reached, path !== '/oauth/userinfo')
      })
    },
  )
}

test('a bound token that lacks a scope is told so in its own scheme: RFC 9449 §7.1', async (t) => {
  const place = await start(t)
  for (const path of ['/mcp', '/notes/mcp']) {
    const token = await boundToken(place, path, 'openid')
    const dpop = await prove(place, place.own, { path, method: 'POST', token })
    const answer = await place.doors.ask(callOf(path, { authorization: `DPoP ${token}`, dpop }))
    assertAnswer(answer, { status: 403, error: 'insufficient_scope' })
    assert.equal(dpopErrorOf(answer), 'insufficient_scope')
  }
})

test('a Bearer token is no better for a proof, and stays a Bearer token', async (t) => {
  const place = await start(t)
  const { doors, own, client } = place
  const { accessToken: token } = await obtainTokens(doors, await signIn(doors.origin), client, {
    resource: `${doors.origin}/mcp`,
    prompt: 'consent',
  })
  const dpop = await prove(place, own, { path: '/mcp', method: 'POST', token })
  const asProof = await doors.ask(callOf('/mcp', { authorization: `DPoP ${token}`, dpop }))
  assertAnswer(asProof, { status: 401, error: 'invalid_token' })
  const plain = await doors.ask(callOf('/mcp', { authorization: `Bearer ${token}` }))
  assertAnswer(plain, { status: 200, hasNot: ['dpop-nonce'] })
})

test('so does the endpoint for pushed requests', async (t) => {
  const place = await start(t)
  const { doors, client, own } = place
  const form = {
    response_type: 'code',
    client_id: client.id,
    redirect_uri: client.redirectUri,
    code_challenge: own.jkt,
    code_challenge_method: 'S256',
  }
  const at = { path: '/oauth/par', method: 'POST' } as const
  const push = (dpop: string) => doors.ask({ path: '/oauth/par', form, headers: { dpop } })
  const first = await push(await prove(place, own, { ...at, nonce: 'none' }))
  assertAnswer(first, { status: 400, error: 'use_dpop_nonce', hasNot: ['www-authenticate'] })
  const nonce = first.headers.get('dpop-nonce') ?? ''
  const good = await prove(place, own, { ...at, nonce })
  assertAnswer(await push(good), { status: 201, has: { 'dpop-nonce': nonce } })
  assertAnswer(await push(good), { status: 400, error: 'invalid_dpop_proof' })
})

test('the token endpoint asks for its nonce, gives one with every answer, and spends nothing before', async (t) => {
  const place = await start(t)
  const { doors, client, own, clock } = place
  const form = redeemForm(client, await place.codeFor('/mcp'))
  const at = { path: '/oauth/token', method: 'POST' } as const
  const post = (dpop: string, fields: Readonly<Record<string, string>> = form) =>
    doors.ask({ path: '/oauth/token', form: fields, headers: { dpop } })

  const first = await post(await prove(place, own, { ...at, nonce: 'none' }))
  assertAnswer(first, { status: 400, error: 'use_dpop_nonce', hasNot: ['www-authenticate'] })
  const nonce = first.headers.get('dpop-nonce') ?? ''
  for (const dpop of ['', 'abc', await prove(place, own, { ...at, path: '/oauth/par', nonce })]) {
    assertAnswer(await post(dpop), { status: 400, error: 'invalid_dpop_proof' })
  }
  const good = await prove(place, own, { ...at, nonce })
  const answer = await post(good)
  assertAnswer(answer, { status: 200, has: { 'dpop-nonce': nonce } })
  const { refresh_token: refreshToken, access_token: token } = answer.json
  const refresh = {
    grant_type: 'refresh_token',
    client_id: client.id,
    refresh_token: refreshToken,
  }
  assertAnswer(await post(good, refresh), { status: 400, error: 'invalid_dpop_proof' })

  // A client that slept: its nonce has gone, and nothing else.
  await clock.advance(300_000)
  const late = await post(await prove(place, own, { ...at, nonce }), refresh)
  assertAnswer(late, { status: 400, error: 'use_dpop_nonce' })
  const renewed = late.headers.get('dpop-nonce') ?? ''
  const refreshed = await post(await prove(place, own, { ...at, nonce: renewed }), refresh)
  assertAnswer(refreshed, { status: 200, has: { 'dpop-nonce': renewed } })
  assert.equal(refreshed.json.token_type, 'DPoP')
  assert.notEqual(refreshed.json.access_token, token)
})

test('an administrator makes a client whose tokens are always bound', async (t) => {
  const { ask, origin } = await openDoors(t)
  const browser = await signIn(origin)
  const path = '/api/v1/clients'
  const json = { name: 'Robot', redirectUris: [], authMethod: 'client_secret_post' }
  const grantTypes = ['client_credentials']
  const made = await ask({
    path,
    browser,
    json: { ...json, grantTypes, dpopBoundAccessTokens: true },
    headers: { origin },
  })
  assertAnswer(made, { status: 201 })
  const { id, clientSecret, dpopBoundAccessTokens } = made.json
  assert.equal(dpopBoundAccessTokens, true)
  const form = {
    grant_type: 'client_credentials',
    client_id: String(id),
    client_secret: String(clientSecret),
  }
  assertAnswer(await ask({ path: '/oauth/token', form }), {
    status: 400,
    error: 'invalid_dpop_proof',
  })
  const changed = await ask({
    path: `${path}/${id}`,
    method: 'PATCH',
    browser,
    json: { dpopBoundAccessTokens: false },
    headers: { origin },
  })
  assert.equal(changed.json.dpopBoundAccessTokens, false)
  assertAnswer(await ask({ path: '/oauth/token', form }), { status: 200 })
})

test('what we announce: metadata, and what a page of another origin may send and read', async (t) => {
  const { ask } = await openDoors(t)
  const algorithms = ['ES256', 'PS256', 'RS256', 'Ed25519', 'EdDSA']
  for (const path of [
    '/.well-known/oauth-authorization-server',
    '/.well-known/oauth-protected-resource/mcp',
  ]) {
    const { json } = await ask({ path })
    assert.deepEqual(json.dpop_signing_alg_values_supported, algorithms, path)
  }
  const preflight = await ask({ path: '/oauth/token', method: 'OPTIONS' })
  assert.match(preflight.headers.get('access-control-allow-headers') ?? '', /\bdpop\b/)
  const refused = await ask({ path: '/oauth/token', form: {}, headers: { dpop: 'x' } })
  assertAnswer(refused, {
    status: 400,
    has: { 'access-control-expose-headers': /WWW-Authenticate, DPoP-Nonce/ },
  })
})
