// Proves the fault provider: honest when healthy, and wrong in exactly the way it was told.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { connectMcpClient, createOAuthMcpClient } from '../counterparts/mcp-client.ts'
import { startFaultProviderProcess } from './fault-provider-process.ts'
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

type Place = Pick<FaultProvider, 'origin'>

async function register({ origin }: Place, method = 'none') {
  const metadata = { redirect_uris: [redirectUri], token_endpoint_auth_method: method }
  const init = { method: 'POST', body: JSON.stringify(metadata) }
  return (await (await fetch(`${origin}/register`, init)).json()) as Record<string, string>
}

async function authorize({ origin }: Place, clientId: string) {
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

async function signIn(provider: Place) {
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

const refresh = ({ origin }: Place, clientId: string, refreshToken = '') =>
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
  const family = provider.familyOf(tokens['access_token'] ?? '')
  assert.equal(provider.familyOf(next['access_token'] ?? ''), family)
  assert.ok(family !== undefined)

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

test('a tolerant provider takes a spent refresh token for its time, and then ends the family', async (t) => {
  const provider = await start(t, { rotation: 'tolerant' })
  const { clientId, tokens } = await signIn(provider)
  const first = await refresh(provider, clientId, tokens['refresh_token'])
  assert.equal((await refresh(provider, clientId, tokens['refresh_token'])).status, 200)

  provider.set({ toleranceS: 0 })
  assert.equal((await refresh(provider, clientId, tokens['refresh_token'])).status, 400)
  const next = (await first.json()) as Record<string, string>
  assert.equal((await refresh(provider, clientId, next['refresh_token'])).status, 400)
})

test('a connection is cut before the request was read, and nothing is done', async (t) => {
  const provider = await start(t)
  const { clientId, tokens } = await signIn(provider)
  provider.set({ answers: { refresh: { kind: 'reset-unread', times: 1 } } })

  // The head of a request whose body never comes: a provider that reads first would wait for it.
  const socket = connect(Number(new URL(provider.origin).port), '127.0.0.1')
  socket.write('POST /token HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n\r\n')
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException] // what sockets tell

  assert.equal(error.code, 'ECONNRESET')
  assert.equal(provider.requests().at(-1)?.body, '')
  assert.equal((await refresh(provider, clientId, tokens['refresh_token'])).status, 200)
})

test('an answer that is cut in the middle has begun, and its work is done', async (t) => {
  const provider = await start(t)
  const { clientId, tokens } = await signIn(provider)
  provider.set({ answers: { refresh: { kind: 'cut', times: 1 } } })

  const answer = await refresh(provider, clientId, tokens['refresh_token'])
  assert.equal(answer.status, 200)
  const reader = answer.body?.getReader()
  const { value } = (await reader?.read()) ?? {}
  assert.match(Buffer.from(value ?? []).toString(), /^\{"access_token":/)
  await assert.rejects(async () => reader?.read())
  assert.equal((await refresh(provider, clientId, tokens['refresh_token'])).status, 400)
})

test('a request is held when it is read, when its work is done, and at the first byte', async (t) => {
  const provider = await start(t)
  const { clientId, tokens } = await signIn(provider)
  const outcomes = () => provider.tokenRequests().filter(({ grant }) => grant === 'refresh_token')
  let token = tokens['refresh_token']
  for (const moment of ['read', 'worked', 'first-byte'] as const) {
    const before = outcomes().length
    const hold = provider.hold('refresh', moment)
    const asking = refresh(provider, clientId, token)
    await hold.arrived
    assert.equal(outcomes().length - before, moment === 'read' ? 0 : 1, moment)
    const first = moment === 'first-byte' ? await asking : undefined
    assert.equal(await Promise.race([first?.text() ?? asking, sleep(30, 'held')]), 'held', moment)
    if (first !== undefined) return hold.release()

    hold.release()
    await hold.sent
    const fresh = (await (await asking).json()) as Record<string, string>
    token = fresh['refresh_token']
  }
})

test('what is too much in one second is told to wait, and latency is waited for', async (t) => {
  const provider = await start(t, { tokenRequestsPerSecond: 0 })
  const { origin } = provider
  const limited = await post(`${origin}/token`, { grant_type: 'refresh_token' })
  assert.deepEqual([limited.status, limited.headers.get('retry-after')], [429, '1'])
  assert.equal(provider.tokenRequests().at(-1)?.outcome, 'limited')

  provider.set({ tokenRequestsPerSecond: Infinity, latencyMs: [60, 80] })
  const startedAt = performance.now()
  const ask = () => post(`${origin}/token`, { grant_type: 'refresh_token' })
  await Promise.all([ask(), ask(), ask()])
  assert.equal(provider.mostAtOnce(), 3)
  assert.ok(performance.now() - startedAt >= 59)
})

test('a token answer has the wrong types it was told, byte for byte', async (t) => {
  const provider = await start(t)
  const wrong: readonly (readonly [Record<string, unknown>, RegExp])[] = [
    [{ expires_in: '3600' }, /"expires_in":"3600"/],
    [{ expires_in: -1 }, /"expires_in":-1[,}]/],
    [{ expires_in: 1e99 }, /"expires_in":1e\+99[,}]/],
    [{ expires_in: 3_600_000 }, /"expires_in":3600000[,}]/],
    [{ access_token: 7 }, /"access_token":7[,}]/],
    [{ access_token: 'a\r\nx-evil: 1' }, /"access_token":"a\\r\\nx-evil: 1"/],
  ]
  for (const [tokenFields, bytes] of wrong) {
    provider.set({ tokenFields })
    assert.match(await refreshedText(provider), bytes)
  }
  provider.set({ tokenFields: { expires_in: undefined } })
  assert.doesNotMatch(await refreshedText(provider), /expires_in/)
  provider.set({ ...healthy, answers: { refresh: { kind: 'json', body: { error: 'no' } } } })
  assert.equal(await refreshedText(provider), '{"error":"no"}')
})

async function refreshedText(provider: FaultProvider): Promise<string> {
  const { client_id: clientId } = await register(provider)
  const [granted] = provider.grant(1)
  return (await refresh(provider, clientId ?? '', granted?.refreshToken)).text()
}

test('a provider in a process of its own is told the same, and goes with its channel', async (t) => {
  const provider = await startFaultProviderProcess({ rotation: 'tolerant' })
  t.after(provider.stop)
  const { clientId, tokens } = await signIn(provider)
  assert.equal(await provider.isLive(tokens['access_token'] ?? ''), true)
  assert.ok(provider.pid > 0 && provider.pid !== process.pid)

  await provider.set({ tokenFields: { expires_in: undefined } })
  const hold = await provider.hold('refresh', 'worked')
  const asking = refresh(provider, clientId, tokens['refresh_token'])
  await hold.arrived
  hold.release()
  assert.doesNotMatch(await (await asking).text(), /expires_in/)
  await hold.sent
  assert.equal((await provider.tokenRequests()).at(-1)?.outcome, 'issued')
  assert.equal((await provider.grant(3)).length, 3)

  await provider.stop()
  await assert.rejects(fetch(provider.origin))
})
