import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import type { Store } from '../store/database.ts'
import { listenOnLoopback } from '../../test/counterparts/loopback.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { freshnessMs } from '../oauth/freshness.ts'
import { decide, pollForm, start as startDevice } from './device.rig.ts'
import {
  approve,
  authorizeQuery,
  beginByHand,
  createRig,
  form,
  obtainTokens,
  redirectUri,
  refreshForm,
  refused,
  register,
  tokens,
} from './issuer.rig.ts'
import type { Rig, RigOptions } from './issuer.rig.ts'
import { deviceCodeGrant, jwtBearer } from './metadata.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs

void test('Cache-Control is honoured between five minutes and a day', () => {
  const cases: readonly (readonly [string | null, number])[] = [
    [null, hourMs],
    ['public', hourMs],
    ['max-age=nonsense', hourMs],
    ['max-age=-1', hourMs],
    ['max-age=0', 5 * minuteMs],
    ['max-age=299', 5 * minuteMs],
    ['max-age=301', 301_000],
    ['public, Max-Age="7200"', 2 * hourMs],
    ['max-age=86400', 24 * hourMs],
    ['max-age=86401', 24 * hourMs],
    ['max-age=9999999999', 24 * hourMs],
    ['no-store', 5 * minuteMs],
    ['max-age=7200, no-cache', 5 * minuteMs],
  ]
  for (const [header, expected] of cases) assert.equal(freshnessMs(header), expected, `${header}`)
})

onEveryDatabase(
  'a client whose id is the URL of its document needs no registration',
  async (t, store) => {
    verifies(t, 'S3-15', 'A3', 'A5')
    const { rig, site } = await start(t, store)
    const session = await rig.signIn()
    const client = { id: site.url, secret: undefined }
    const { refresh } = await obtainTokens(rig, session, client)
    const [grant] = (await rig.issuer.grants.list(session)).items
    assert.equal(grant?.clientId, site.url)
    assert.equal(grant?.clientName, 'Documented')
    assert.equal(site.visits(), 1)

    await site.stop()
    await rig.clock.advance(2 * hourMs)
    assert.ok(
      (await tokens(rig, refreshForm(client, refresh))).access,
      'its site may be down meanwhile',
    )
    const unknown = { id: `${site.url}x`, secret: undefined }
    await refused(tokens(rig, refreshForm(unknown, refresh)), 'invalid_client')
  },
)

onEveryDatabase(
  'a document is fetched again when it is no longer fresh, once for all who ask: X-35',
  async (t, store) => {
    const { rig, site } = await start(t, store)
    await rig.signIn()
    const ask = () => begin(rig, site.url)
    await Promise.all(Array.from({ length: 50 }, ask))
    assert.equal(site.visits(), 1, 'single flight')
    await rig.clock.advance(hourMs - 1)
    await ask()
    assert.equal(site.visits(), 1)
    await rig.clock.advance(1)
    await ask()
    assert.equal(site.visits(), 2)
  },
)

onEveryDatabase(
  'a document that changes asks for consent again and drops old addresses: X-34, X-35',
  async (t, store) => {
    verifies(t, 'A6', 'X-34', 'X-35')
    const { rig, site } = await start(t, store)
    const session = await rig.signIn()
    const query = authorizeQuery({ id: site.url, secret: undefined })
    const isAsked = async () => {
      const { step } = await beginByHand(rig, query, session)
      return step.kind === 'consent'
    }
    await approve(rig, session, query)
    assert.equal(await isAsked(), false)

    site.answer({ ...document(site.url), client_name: 'Renamed' })
    assert.equal(await isAsked(), false, 'still fresh')
    await rig.clock.advance(hourMs)
    assert.equal(await isAsked(), true)
    const types = await rig.journalTypes()
    assert.equal(types.filter((type) => type === 'client.document_fetched').length, 2)

    site.answer({ ...document(site.url), redirect_uris: ['https://other.test/cb'] })
    await rig.clock.advance(hourMs)
    await refused(isAsked(), 'invalid_redirect_uri')
  },
)

onEveryDatabase(
  'a disabled client stays disabled when its document is read again: P-107',
  async (t, store) => {
    const { rig, site } = await start(t, store)
    await begin(rig, site.url)
    await rig.db.updateTable('clients').set({ disabled_at: 1 }).execute()
    await rig.clock.advance(48 * hourMs)
    await refused(begin(rig, site.url), 'unauthorized_client')
  },
)

onEveryDatabase(
  'a bad document is refused without a redirect and not kept: row 15; X-35',
  async (t, store) => {
    verifies(t, 'A5', 'A6', 'X-35', 'T-15')
    const { rig, site } = await start(t, store)
    const good = document(site.url)
    const bad: readonly (readonly [unknown, Record<string, string>?, number?])[] = [
      [{ ...good, client_id: `${site.url}x` }],
      [{ ...good, client_id: undefined }],
      [{ ...good, client_name: undefined }],
      [{ ...good, redirect_uris: undefined }],
      [{ ...good, redirect_uris: ['javascript:alert(1)'] }],
      [{ ...good, client_secret: 'x' }],
      [{ ...good, token_endpoint_auth_method: 'client_secret_post' }],
      [{ ...good, token_endpoint_auth_method: 'private_key_jwt' }],
      [{ ...good, token_endpoint_auth_method: 'private_key_jwt', jwks_uri: 'http://app.test/j' }],
      [{ ...good, padding: 'x'.repeat(5 * 1024) }],
      [good, { 'content-type': 'text/html' }],
      [good, { 'content-type': 'text/plain' }],
      [good, {}, 404],
      [good, {}, 500],
      [good, {}, 201],
      [good, { location: '/elsewhere' }, 302],
      ['not an object'],
    ]
    for (const [body, headers, status] of bad) {
      site.answer(body, headers, status)
      await refused(begin(rig, site.url), 'invalid_client')
      await rig.clock.advance(minuteMs)
    }
    assert.equal(site.visits(), bad.length, 'no redirect was followed')
    assert.deepEqual(await rig.db.selectFrom('clients').selectAll().execute(), [])

    site.answer(good)
    await begin(rig, site.url)
  },
)

onEveryDatabase('a refusal is remembered for a minute: row 15', async (t, store) => {
  verifies(t, 'T-15')
  const { rig, site } = await start(t, store)
  site.answer('broken')
  await refused(begin(rig, site.url), 'invalid_client')
  site.answer(document(site.url))
  await rig.clock.advance(minuteMs - 1)
  await refused(begin(rig, site.url), 'invalid_client')
  assert.equal(site.visits(), 1)
  await rig.clock.advance(1)
  await begin(rig, site.url)
})

onEveryDatabase(
  'a document on a network of ours, or without https, is never asked for: X-14',
  async (t, store) => {
    verifies(t, 'A6', 'A10', 'X-14', 'P-26')
    const reached: string[] = []
    const addresses: Readonly<Record<string, readonly string[]>> = {
      'mixed.test': ['93.184.216.34', '10.0.0.1'],
      // IPv4 inside IPv6: NAT64, 6to4, Teredo, and the old compatible form (P-26).
      'nat64.test': ['64:ff9b::a9fe:a9fe'],
      '6to4.test': ['2002:7f00:1::'],
      'teredo.test': ['2001:0:4136:e378:8000:63bf:80ff:fffe'],
      'compatible.test': ['::127.0.0.1'],
    }
    const rig = await createRig(t, store, {
      resolve: async (hostname) => addresses[hostname] ?? ['10.0.0.1'],
      connect: (target) => {
        reached.push(target.address)
        return target
      },
    })
    for (const url of [
      'https://private.test/client.json',
      'https://127.0.0.1/client.json',
      'https://169.254.169.254/latest/meta-data',
      'https://[::1]/client.json',
      'https://[64:ff9b::a9fe:a9fe]/client.json',
      ...Object.keys(addresses).map((name) => `https://${name}/client.json`),
      'https://app.test:22/client.json',
      'http://app.test/client.json',
      'http://localhost:1/client.json',
      'https://app.test',
      'https://app.test/a/../client.json',
      'https://app.test/client.json#f',
      'https://user@app.test/client.json',
      'https://app.test/client.json\0',
      'HTTPS://app.test/client.json',
      'https://app.test/mcp_at_0123456789abcdef',
    ]) {
      await refused(begin(rig, url), 'invalid_client')
    }
    assert.deepEqual(reached, [])
  },
)

onEveryDatabase(
  'twenty slow documents of one host do not keep another host out: X-35',
  async (t, store) => {
    const isFull = Promise.withResolvers<void>()
    const isFree = Promise.withResolvers<readonly string[]>()
    let waiting = 0
    const { rig, site } = await start(t, store, {
      resolve: (hostname) => {
        if (hostname !== 'slow.test') return Promise.resolve(['127.0.0.1'])
        waiting += 1
        if (waiting === 20) isFull.resolve()
        return isFree.promise
      },
    })
    const slow = Array.from({ length: 20 }, (_, index) => `https://slow.test/${index}`)
    const ends = slow.map((url) => refused(begin(rig, url), 'invalid_client'))
    await isFull.promise
    await refused(begin(rig, 'https://slow.test/one-more'), 'too_many_requests')
    await begin(rig, site.url)
    isFree.resolve([])
    await Promise.all(ends)
    await refused(begin(rig, 'https://slow.test/one-more'), 'invalid_client')
  },
)

onEveryDatabase(
  'a device that describes itself may come without having been seen',
  async (t, store) => {
    verifies(t, 'S3-51')
    const { rig, site } = await start(t, store)
    const client = { id: site.url, secret: undefined }
    await refused(startDevice(rig, client), 'unauthorized_client')
    const own = { ...document(site.url), redirect_uris: [], grant_types: [deviceCodeGrant] }
    site.answer({ ...own, client_name: 'A documented device' })
    await rig.clock.advance(24 * hourMs)
    const answer = await startDevice(rig, client)
    await decide(rig, await rig.signIn(), answer)
    assert.ok((await tokens(rig, pollForm(client, answer))).access)
    site.answer({}, {}, 404)
    await refused(startDevice(rig, { ...client, id: `${site.url}x` }), 'invalid_client')
  },
)

onEveryDatabase(
  'a client may come with an assertion first, or to the device endpoint: row 15',
  async (t, store) => {
    verifies(t, 'A6', 'T-15')
    const { rig, site } = await start(t, store)
    const { publicKey, privateKey } = await generateKeyPair('ES256')
    const proof = async () => ({
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: await new SignJWT({ jti: crypto.randomUUID() })
        .setProtectedHeader({ alg: 'ES256' })
        .setIssuer(site.url)
        .setSubject(site.url)
        .setAudience(rig.tenant.issuer)
        .setExpirationTime(Math.floor(rig.clock.now() / 1000) + 60)
        .sign(privateKey),
    })
    const grant = { grant_type: jwtBearer, assertion: 'none' }
    site.answer('broken')
    await refused(tokens(rig, form({ ...grant, ...(await proof()) })), 'invalid_client')
    await rig.clock.advance(minuteMs)
    site.answer({
      ...document(site.url),
      grant_types: ['authorization_code', jwtBearer, deviceCodeGrant],
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [await exportJWK(publicKey)] },
    })
    const refreshing = { grant_type: 'refresh_token', refresh_token: 'x', ...(await proof()) }
    await refused(tokens(rig, form(refreshing)), 'invalid_client')
    assert.equal(site.visits(), 1, 'who refreshes was here before')
    await refused(tokens(rig, form({ ...grant, ...(await proof()) })), 'invalid_grant')

    await rig.db.deleteFrom('clients').execute()
    const started = rig.issuer.startDevice(rig.tenant, form(await proof()))
    assert.ok((await started).device_code, 'RFC 8628 §3.1: the assertion names the client')
  },
)

onEveryDatabase('a registered client id is never taken for a document', async (t, store) => {
  const { rig, site } = await start(t, store)
  const client = await register(rig)
  await begin(rig, client.id)
  assert.equal(site.visits(), 0)
})

function begin(rig: Rig, clientId: string) {
  const query = authorizeQuery({ id: clientId, secret: undefined })
  return rig.issuer.authorize.begin(rig.tenant, query, undefined)
}

function document(url: string): Readonly<Record<string, unknown>> {
  return {
    client_id: url,
    client_name: 'Documented',
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'none',
  }
}

async function start(t: TestContext, store: Store, options: RigOptions = {}) {
  const site = await startSite(t)
  const rig = await createRig(t, store, {
    resolve: async () => ['127.0.0.1'],
    allow: ['loopback'],
    allowLoopbackDocuments: true,
    ...options,
  })
  return { rig, site }
}

/** A site that publishes one document. */
async function startSite(t: TestContext) {
  let visits = 0
  let answer = (_: IncomingMessage, response: ServerResponse) => void response.end()
  const serve = () => (request: IncomingMessage, response: ServerResponse) => {
    visits += 1
    answer(request, response)
  }
  const { origin, stop } = await listenOnLoopback(serve, { host: 'localhost' })
  t.after(stop)
  const url = `${origin}/client.json`
  const set = (body: unknown, headers: Record<string, string> = {}, status = 200) => {
    answer = (_, response) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers })
      response.end(JSON.stringify(body))
    }
  }
  set(document(url))
  return { url, stop, visits: () => visits, answer: set }
}
