// Proves the fault provider: honest when healthy, and wrong in exactly the way it was told.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test, type TestContext } from 'node:test'

import { connectMcpClient, createOAuthMcpClient } from '../counterparts/mcp-client.ts'
import {
  healthy,
  startFaultProvider,
  type BadAnswer,
  type FaultProvider,
  type Faults,
} from './fault-provider.ts'

const redirectUri = 'http://127.0.0.1:9/callback'

async function start(t: TestContext, faults?: Partial<Faults>) {
  const provider = await startFaultProvider(faults)
  t.after(provider.stop)
  return provider
}

const post = (url: string, parameters: Record<string, string>) =>
  fetch(url, { method: 'POST', body: new URLSearchParams(parameters) })

async function register({ origin }: FaultProvider, method = 'none') {
  const metadata = { redirect_uris: [redirectUri], token_endpoint_auth_method: method }
  const init = { method: 'POST', body: JSON.stringify(metadata) }
  return (await (await fetch(`${origin}/register`, init)).json()) as Record<string, string>
}

async function authorize({ origin }: FaultProvider, clientId: string) {
  const url = new URL(`${origin}/authorize`)
  const challenge = createHash('sha256').update('verifier').digest('base64url')
  url.search = new URLSearchParams({
    client_id: clientId,
    redirect_uri: redirectUri,
    state: 'a state',
    code_challenge: challenge,
  }).toString()
  const answer = await fetch(url, { redirect: 'manual' })
  return new URL(answer.headers.get('location') ?? '').searchParams
}

async function signIn(provider: FaultProvider) {
  const { client_id: clientId = '' } = await register(provider)
  const callback = await authorize(provider, clientId)
  const code = callback.get('code') ?? ''
  const answer = await post(`${provider.origin}/token`, {
    grant_type: 'authorization_code',
    code,
    code_verifier: 'verifier',
    redirect_uri: redirectUri,
    client_id: clientId,
  })
  return { clientId, tokens: (await answer.json()) as Record<string, string> }
}

const refresh = ({ origin }: FaultProvider, clientId: string, refreshToken = '') =>
  post(`${origin}/token`, {
    grant_type: 'refresh_token',
    refresh_token: refreshToken,
    client_id: clientId,
  })

test('a healthy provider takes the SDK client all the way', async (t) => {
  const provider = await start(t)
  const authorize = async (url: string) =>
    (await fetch(url, { redirect: 'manual' })).headers.get('location') ?? ''
  const signedIn = await createOAuthMcpClient({ url: provider.mcpUrl, authorize })
  t.after(() => signedIn.client.close())

  const { content } = await signedIn.client.callTool({ name: 'ok', arguments: {} })

  assert.deepEqual(content, [{ type: 'text', text: 'ok' }])
  assert.equal(provider.registrations().length, 1)
  assert.deepEqual(
    provider.tokenRequests().map(({ grant, outcome }) => [grant, outcome]),
    [['authorization_code', 'issued']],
  )
  const token = signedIn.tokens()?.access_token ?? ''
  const legacy = await connectMcpClient({ url: provider.mcpUrl, token, era: 'legacy' })
  t.after(() => legacy.close())
  assert.equal((await legacy.listTools()).tools.length, 1)
})

test('strict rotation ends the family when a spent refresh token comes back', async (t) => {
  const provider = await start(t)
  const { clientId, tokens } = await signIn(provider)
  const first = await refresh(provider, clientId, tokens['refresh_token'])
  const next = (await first.json()) as Record<string, string>

  assert.equal((await refresh(provider, clientId, tokens['refresh_token'])).status, 400)
  assert.equal((await refresh(provider, clientId, next['refresh_token'])).status, 400)
  assert.equal(provider.isLive(next['access_token'] ?? ''), false)
})

test('tolerant rotation takes an old refresh token, and none keeps the one there is', async (t) => {
  const provider = await start(t, { rotation: 'tolerant' })
  const { clientId, tokens } = await signIn(provider)
  assert.equal((await refresh(provider, clientId, tokens['refresh_token'])).status, 200)
  assert.equal((await refresh(provider, clientId, tokens['refresh_token'])).status, 200)

  provider.set({ rotation: 'none' })
  const answer = await refresh(provider, clientId, tokens['refresh_token'])
  assert.equal('refresh_token' in ((await answer.json()) as object), false)
})

test('a lost answer has done its work', async (t) => {
  const provider = await start(t)
  const { clientId, tokens } = await signIn(provider)
  provider.set({ answers: { refresh: { kind: 'lost', times: 1 } } })

  await assert.rejects(refresh(provider, clientId, tokens['refresh_token']))

  assert.equal(provider.tokenRequests().at(-1)?.outcome, 'issued')
  assert.equal((await refresh(provider, clientId, tokens['refresh_token'])).status, 400)
})

test('a bad answer is given as often as it was told, and noted', async (t) => {
  const provider = await start(t)
  const { clientId, tokens } = await signIn(provider)
  const headers = { 'retry-after': '7' }
  const slowDown: BadAnswer = { kind: 'status', status: 429, headers, times: 1 }
  provider.set({ answers: { refresh: slowDown } })

  const refused = await refresh(provider, clientId, tokens['refresh_token'])

  assert.deepEqual([refused.status, refused.headers.get('retry-after')], [429, '7'])
  assert.equal(provider.tokenRequests().at(-1)?.outcome, 'bad-answer')
  assert.equal((await refresh(provider, clientId, tokens['refresh_token'])).status, 200)
})

test('every kind of bad answer is sent', async (t) => {
  const provider = await start(t)
  const ask = async (answer: BadAnswer, patienceMs = 5000) => {
    provider.set({ answers: { metadata: answer } })
    const signal = AbortSignal.timeout(patienceMs)
    return fetch(`${provider.origin}/.well-known/oauth-authorization-server`, { signal })
  }
  assert.equal((await ask({ kind: 'status', status: 503 })).status, 503)
  assert.equal(await (await ask({ kind: 'html' })).text(), '<h1>Please sign in</h1>')
  assert.equal((await ask({ kind: 'oauth-error', error: 'invalid_client' })).status, 400)
  assert.deepEqual(await (await ask({ kind: 'json', body: { error: 'no' } })).json(), {
    error: 'no',
  })
  assert.equal(
    (await (await ask({ kind: 'oversize', bytes: 100_000 })).text()).length > 100_000,
    true,
  )
  await assert.rejects(ask({ kind: 'reset' }))
  await assert.rejects(ask({ kind: 'hang' }, 50))
  await assert.rejects((await ask({ kind: 'slow-body', everyMs: 5 }, 100)).text())
  const bomb = await ask({ kind: 'gzip-bomb' })
  assert.equal(bomb.headers.get('content-encoding'), 'gzip')
  await bomb.body?.cancel()
})

test('metadata, callback and token answers can be wrong in one place', async (t) => {
  const provider = await start(t, {
    offersRegistration: false,
    challengeMethods: null,
    metadataIssuer: 'https://other.example',
    promisesIssuer: false,
  })
  const answer = await fetch(`${provider.origin}/.well-known/oauth-authorization-server`)
  const metadata = (await answer.json()) as object
  assert.equal('registration_endpoint' in metadata, false)
  assert.equal('code_challenge_methods_supported' in metadata, false)
  assert.equal('issuer' in metadata && metadata.issuer, 'https://other.example')

  provider.set({ ...healthy, callbackIssuer: 'wrong', callbackFields: { state: 'another' } })
  const callback = await authorize(provider, 'anyone')
  assert.deepEqual(
    [callback.get('iss'), callback.get('state')],
    ['https://evil.example', 'another'],
  )

  provider.set({ ...healthy, tokenFields: { access_token: 'a\r\nX-Evil: 1', expires_in: '1e99' } })
  const { tokens } = await signIn(provider)
  assert.deepEqual([tokens['access_token'], tokens['expires_in']], ['a\r\nX-Evil: 1', '1e99'])
})

test('a client secret that has expired is no secret any more', async (t) => {
  const provider = await start(t, { clientSecretTtlS: -1 })
  const client = await register(provider, 'client_secret_post')
  const answer = await post(`${provider.origin}/token`, {
    grant_type: 'refresh_token',
    client_id: client['client_id'] ?? '',
    client_secret: client['client_secret'] ?? '',
  })
  assert.equal(answer.status, 401)
  assert.deepEqual(await answer.json(), { error: 'invalid_client' })
})
