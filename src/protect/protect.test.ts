// The guard by itself: every way of showing a token, and the refusals and metadata that lead to sign-in.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../../test/requirements.ts'
import { Fault } from '../base/fault.ts'
import { dpopAlgorithms } from '../oauth/dpop-algorithms.ts'
import { createProver } from '../oauth/dpop.rig.ts'
import type { Prover } from '../oauth/dpop.rig.ts'
import type { GuardedRequest, Refusal, Verdict } from './index.ts'
import { protectMcpServer } from './index.ts'

const resource = 'https://mcp.example/mcp'
const metadataUrl = 'https://mcp.example/.well-known/oauth-protected-resource/mcp'
const principal = { scopes: ['files:read'], name: 'alice' }

function protect(requireScopes: readonly string[] = []) {
  return protectMcpServer({
    resource,
    issuer: 'https://auth.example',
    scopes: ['files:read', 'offline_access'],
    name: 'Files',
    verify: async ({ token }) => (token.reveal() === 'good' ? principal : undefined),
    requireScopes,
  })
}

const ask = (authorization: string | undefined, url = '/mcp') =>
  protect().guard({ url, headers: authorization === undefined ? {} : { authorization } })

test('a token that verifies lets its caller in, in any spelling of the scheme', async () => {
  for (const scheme of ['Bearer', 'bearer', 'BEARER ']) {
    const verdict = { kind: 'verified', principal, scheme: 'Bearer', headers: {} }
    assert.deepEqual(await ask(`${scheme} good`), verdict)
  }
  const request = new Request(resource, { headers: { authorization: 'Bearer good' } })
  assert.equal((await protect().guard(request)).kind, 'verified')
})

test('no credentials: 401 without an error code (threats 5, row 36)', async (t) => {
  verifies(t, 'S1-84', 'S4-20')
  for (const authorization of [undefined, '', 'Basic eDp5', 'Bearerx good', 'DPoP good']) {
    const refusal = refusalOf(await ask(authorization))
    assert.equal(refusal.status, 401)
    assert.equal(
      refusal.headers['www-authenticate'],
      `Bearer resource_metadata="${metadataUrl}", scope="files:read"`,
    )
    assert.equal(refusal.headers['cache-control'], 'no-store')
    assert.deepEqual(JSON.parse(refusal.body), {
      jsonrpc: '2.0',
      id: null,
      error: {
        code: -32001,
        message: 'Authentication required',
        data: { reason: 'authentication_required' },
      },
    })
  }
})

test('a token that does not verify: 401 invalid_token (threats 5, row 37)', async (t) => {
  verifies(t, 'S1-84', 'S3-31')
  const refusal = refusalOf(await ask('Bearer bad'))

  assert.equal(refusal.status, 401)
  assert.match(refusal.headers['www-authenticate'] ?? '', /error="invalid_token"/)
  assert.equal(refusal.reason, 'invalid_token')
})

test('a token in the query alone is none, besides the header it is one too many (threat X-19)', async () => {
  assert.equal(refusalOf(await ask(undefined, '/mcp?access_token=good')).status, 401)
  const both = refusalOf(await ask('Bearer good', '/mcp?a=b&access_token=good'))
  assert.equal(both.status, 400)
  assert.match(both.headers['www-authenticate'] ?? '', /error="invalid_request"/)
})

test('an empty, doubled or broken token: 400 invalid_request (threats 5, row 38)', async () => {
  const broken = ['Bearer', 'Bearer ', 'Bearer a b', 'Bearer a,b', 'Bearer good, Bearer good']
  for (const authorization of [...broken, 'Bearer "good"', `Bearer ${'a'.repeat(8193)}`]) {
    assert.equal(refusalOf(await ask(authorization)).status, 400, authorization.slice(0, 30))
  }
  const doubled: GuardedRequest = {
    headers: { authorization: 'Bearer good' },
    rawHeaders: ['Authorization', 'Bearer good', 'authorization', 'Bearer good'],
  }
  assert.equal(refusalOf(await protect().guard(doubled)).status, 400)
})

test('a missing scope: 403 insufficient_scope with all that is needed (threats 5, row 39)', async (t) => {
  verifies(t, 'S1-84')
  const guarded = protect(['files:read', 'files:write'])
  const refusal = refusalOf(await guarded.guard({ headers: { authorization: 'Bearer good' } }))

  assert.equal(refusal.status, 403)
  assert.equal(
    refusal.headers['www-authenticate'],
    `Bearer resource_metadata="${metadataUrl}", scope="files:read files:write", ` +
      'error="insufficient_scope", error_description="The access token lacks a scope that this call needs"',
  )
  assert.equal(JSON.parse(guarded.insufficientScope(['x'], { id: 9 }).body).id, 9)
})

test('a verifier that cannot answer now: 503 with Retry-After, and no challenge', async (t) => {
  verifies(t, 'S1-84')
  const guarded = protectMcpServer({
    resource,
    issuer: 'https://auth.example',
    scopes: [],
    verify: () => Promise.reject(new Fault('temporarily_unavailable', { because: 'down' })),
  })

  const refusal = refusalOf(await guarded.guard({ headers: { authorization: 'Bearer good' } }))

  assert.equal(refusal.status, 503)
  assert.equal(refusal.headers['retry-after'], '30')
  assert.equal(refusal.headers['www-authenticate'], undefined)
})

test('any other failure of the verifier is thrown on', async () => {
  const verify = () => Promise.reject(new Error('broken'))
  const guarded = protectMcpServer({ resource, issuer: 'https://a.example', scopes: [], verify })

  await assert.rejects(guarded.guard({ headers: { authorization: 'Bearer good' } }), /broken/)
})

test('the metadata names resource, issuer, scopes and the header as the only place', (t) => {
  verifies(t, 'S1-85', 'S4-18')
  assert.deepEqual(protect().metadata(), {
    resource,
    authorization_servers: ['https://auth.example'],
    scopes_supported: ['files:read'],
    bearer_methods_supported: ['header'],
    resource_name: 'Files',
  })
})

const now = 1_767_225_600_000
const algs = 'algs="ES256 PS256 RS256 Ed25519 EdDSA"'

/** The same server, for a token that is bound to the key of this sender. */
function protectBound({ jkt }: Prover, seen: Set<string> = new Set()) {
  return protectMcpServer({
    resource,
    issuer: 'https://auth.example',
    scopes: ['files:read'],
    dpop: { now: () => now },
    verify: async ({ token, proof }) => {
      if (token.reveal() !== 'good' || proof?.jkt !== jkt) return undefined
      if (seen.has(proof.id)) throw new Fault('invalid_dpop_proof', { because: 'seen' })
      seen.add(proof.id)
      return principal
    },
  })
}

test('anybody’s server takes a bound token with its key, and says what it takes', async () => {
  const own = await createProver()
  const protection = protectBound(own)
  const order = { method: 'POST', url: resource, now, token: 'good' }
  const ask = async (proof: string | readonly string[] | undefined, method: string | undefined) =>
    protection.guard({ method, headers: { authorization: 'DPoP good', dpop: proof } })
  const proof = await own.prove(order)
  const verdict = { kind: 'verified', principal, scheme: 'DPoP', headers: {} }
  assert.deepEqual(await ask(proof, 'POST'), verdict)
  assert.equal(protection.metadata()['dpop_signing_alg_values_supported'], dpopAlgorithms)

  const request = new Request(resource, {
    method: 'POST',
    headers: { authorization: 'dpop good', dpop: await own.prove(order) },
  })
  assert.equal((await protection.guard(request)).kind, 'verified')

  const thief = await createProver()
  const [one, other] = [await own.prove(order), await own.prove(order)]
  const rows: readonly (readonly [string, Promise<Verdict<unknown>>])[] = [
    ['invalid_dpop_proof', ask(proof, 'POST')],
    ['invalid_dpop_proof', ask(undefined, 'POST')],
    ['invalid_dpop_proof', ask([one, other], 'POST')],
    ['invalid_dpop_proof', ask(one, 'GET')],
    ['invalid_dpop_proof', ask(one, undefined)],
    ['invalid_dpop_proof', ask(await own.prove({ ...order, now: now - 300_000 }), 'POST')],
    ['invalid_token', ask(await thief.prove(order), 'POST')],
  ]
  for (const [error, verdict] of rows) {
    const refusal = refusalOf(await verdict)
    assert.equal(refusal.status, 401)
    assert.match(
      refusal.headers['www-authenticate'] ?? '',
      new RegExp(
        `^Bearer resource_metadata="[^"]+", scope="files:read", DPoP error="${error}", .*${algs}$`,
      ),
    )
  }
})

test('two fields are two also where Node has joined them', async () => {
  const own = await createProver()
  const order = { method: 'POST', url: resource, now, token: 'good' }
  const [one, other] = [await own.prove(order), await own.prove(order)]
  const fields = ['Authorization', 'DPoP good', 'DPoP', one]
  const ask = (rawHeaders: readonly string[]) =>
    protectBound(own).guard({ method: 'POST', headers: {}, rawHeaders })
  assert.equal((await ask(fields)).kind, 'verified')
  assert.equal(refusalOf(await ask([...fields, 'dpop', other])).reason, 'invalid_dpop_proof')
  const twoTokens = [...fields, 'authorization', 'Bearer good']
  assert.equal(refusalOf(await ask(twoTokens)).status, 400)
})

test('a bound token is not taken as Bearer, and the error is told to the scheme that was used', async () => {
  const own = await createProver()
  const authorization = 'Bearer good'
  const refusal = refusalOf(await protectBound(own).guard({ headers: { authorization } }))
  assert.equal(refusal.status, 401)
  assert.match(
    refusal.headers['www-authenticate'] ?? '',
    new RegExp(`^Bearer .*error="invalid_token", error_description="[^"]+", DPoP ${algs}$`),
  )
})

function refusalOf(verdict: Verdict<unknown>): Refusal {
  assert.equal(verdict.kind, 'refused')
  return verdict
}
