// Access tokens that a server can read (RFC 9068), through the real doors: they verify against our published keys by
// everybody's rules, and our own gateway still asks what they are worth right now.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { createManualClock } from '../../src/base/clock.ts'
import type { ManualClock } from '../../src/base/clock.ts'
import { readConfig } from '../../src/config.ts'
import { publishedAheadMs } from '../../src/issuer/signing-keys.ts'
import { openWorkshop } from '../../src/workshop.ts'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { restAs, signIn } from '../harness.ts'
import { verifies } from '../requirements.ts'
import { openDoors } from './doors.ts'
import type { Doors } from './doors.ts'
import { isActive, obtainTokens, refresh, register } from './oauth-client.ts'

const hourMs = 3_600_000

test('a server that asks for signed tokens gets them, and they end like all others', async (t) => {
  verifies(t, 'S3-47', 'S1-90')
  const upstream = await startOpenMcpServer()
  t.after(upstream.stop)
  const clock = createManualClock(Date.now())
  const key = randomBytes(32).toString('base64url')
  const doors = await openDoors(t, { clock, settings: { LATCHKEY_KEY: key } })
  const workshop = await openWorkshop(readConfig({ LATCHKEY_KEY: key }), {
    store: doors.store,
    clock,
  })
  t.after(workshop.close)
  const browser = await signIn(doors.origin)
  const rest = restAs(browser, doors.origin)
  const server = { url: upstream.url, auth: 'none' }
  const made = await rest('POST', '/servers', { ...server, slug: 'signed', tokenFormat: 'jwt' })
  assert.deepEqual([made.status, made.body.tokenFormat], [201, 'jwt'])
  const plain = await rest('POST', '/servers', { ...server, slug: 'plain' })
  assert.equal(plain.body.tokenFormat, 'opaque')
  const wrong = await rest('POST', '/servers', { ...server, slug: 'x', tokenFormat: 'paseto' })
  assert.equal(wrong.status, 422)

  const resource = `${doors.origin}/signed/mcp`
  const client = await register(doors)
  const first = await obtainTokens(doors, browser, client, { resource })
  const { payload, protectedHeader } = await verify({ doors, clock }, first.accessToken, resource)
  assert.deepEqual(Object.keys(protectedHeader).toSorted(), ['alg', 'kid', 'typ'])
  assert.deepEqual(
    [payload['client_id'], payload['scope'], payload.iss],
    [client.id, 'mcp', doors.origin],
  )
  // Who it is, and not what they are called: an e-mail address is asked for where it is needed.
  const person = await doors.store.db.selectFrom('users').select('id').executeTakeFirstOrThrow()
  assert.equal(payload.sub, person.id)
  assert.deepEqual(Object.keys(payload).toSorted(), [
    'aud',
    'client_id',
    'exp',
    'iat',
    'iss',
    'jti',
    'scope',
    'sub',
  ])
  assert.equal(Number(payload.exp) - Number(payload.iat), hourMs / 1000)
  assert.equal(await callStatus(doors, '/signed/mcp', first.accessToken), 200)
  assert.equal(await callStatus(doors, '/plain/mcp', first.accessToken), 401)
  assert.equal(await isActive(doors, first.accessToken), false, 'it is not for /mcp')
  const opaque = await obtainTokens(doors, browser, client, {
    resource: `${doors.origin}/plain/mcp`,
  })
  assert.match(opaque.accessToken, /^mcp_at_/)

  // The key rotates while the token lives.
  await clock.advance(publishedAheadMs / 2)
  assert.equal((await workshop.issuer.signingKeys.rotate(workshop.tenant)).kind, 'too_early')
  await clock.advance(publishedAheadMs / 2 - 1000)
  await verify({ doors, clock }, first.accessToken, resource)
  const late = await refresh(doors, client, first.refreshToken)
  await clock.advance(1000)
  assert.equal((await workshop.issuer.signingKeys.rotate(workshop.tenant)).kind, 'rotated')
  const old = await verify({ doors, clock }, late.json.access_token, resource)
  const next = await refresh(doors, client, late.json.refresh_token)
  const fresh = await verify({ doors, clock }, next.json.access_token, resource)
  assert.notEqual(old.protectedHeader.kid, fresh.protectedHeader.kid)
  assert.equal(await callStatus(doors, '/signed/mcp', late.json.access_token), 200)

  const form = { client_id: client.id, token: late.json.access_token }
  assert.equal((await doors.ask({ path: '/oauth/revoke', form })).status, 200)
  assert.equal(await callStatus(doors, '/signed/mcp', late.json.access_token), 401)
  assert.equal(await callStatus(doors, '/signed/mcp', next.json.access_token), 200)
  await verify({ doors, clock }, late.json.access_token, resource) // who only reads cannot know

  const changed = await rest('PATCH', `/servers/${made.body.id}`, { tokenFormat: 'opaque' })
  assert.deepEqual([changed.status, changed.body.tokenFormat], [200, 'opaque'])
  const after = await refresh(doors, client, next.json.refresh_token)
  assert.match(after.json.access_token, /^mcp_at_/)
  assert.equal(await callStatus(doors, '/signed/mcp', next.json.access_token), 200)
  await clock.advance(hourMs)
  await assert.rejects(verify({ doors, clock }, next.json.access_token, resource), /exp/)
})

/** As a resource server verifies one (RFC 9068 §4): with keys found through the metadata, and nothing taken on trust. */
async function verify(
  { doors, clock }: { readonly doors: Doors; readonly clock: ManualClock },
  token: string,
  audience: string,
) {
  const metadata = await doors.ask({ path: '/.well-known/oauth-authorization-server' })
  const keys = await doors.ask({ path: metadata.json.jwks_uri })
  return jwtVerify(token, createLocalJWKSet(keys.json), {
    typ: 'at+jwt',
    issuer: metadata.json.issuer,
    audience,
    algorithms: ['ES256'],
    requiredClaims: ['iss', 'exp', 'aud', 'sub', 'client_id', 'iat', 'jti'],
    currentDate: new Date(clock.now()),
  })
}

async function callStatus({ ask }: Doors, path: string, token: string): Promise<number> {
  const answer = await ask({
    path,
    headers: {
      authorization: `Bearer ${token}`,
      accept: 'application/json, text/event-stream',
    },
    json: {
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: {
        protocolVersion: '2025-06-18',
        capabilities: {},
        clientInfo: { name: 'test', version: '1' },
      },
    },
  })
  return answer.status
}
