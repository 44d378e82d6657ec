import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import { silentLog } from '../base/log.ts'
import type { OutboundResponse } from '../base/outbound.ts'
import type { Tenant } from '../people/tenants.ts'
import { createClientKeys } from './client-keys.ts'
import type { Client, OurClientMetadata } from './clients.ts'
import { createKeySets } from '../upstream/key-sets.ts'

const minuteMs = 60_000
const uri = 'https://app.test/jwks'
const tenant: Tenant = { id: 'ten_1', slug: 'one', issuer: 'https://auth.test', name: 'One' }

void test('keys are fetched once, kept while fresh, and fetched by one for all who ask', async () => {
  const { keys, clock, site } = start()
  const seen = await Promise.all(Array.from({ length: 50 }, () => keys.find(tenant, clientAt(uri))))
  assert.equal(site.visits, 1)
  assert.deepEqual(seen[49], [{ kty: 'EC', kid: 'a' }])
  await clock.advance(60 * minuteMs - 1)
  await keys.find(tenant, clientAt(uri))
  assert.equal(site.visits, 1)
  await clock.advance(1)
  await keys.find(tenant, clientAt(uri))
  assert.equal(site.visits, 2)
})

void test('newer keys are asked for once a minute, however many unknown ones are presented: R-18', async () => {
  const { keys, clock, site } = start()
  const findNewer = () => keys.find(tenant, clientAt(uri), { isNewer: true })
  await findNewer()
  site.answer = { keys: [{ kty: 'EC', kid: 'b' }] }
  await clock.advance(minuteMs - 1)
  for (let round = 0; round < 50; round += 1) await findNewer()
  assert.equal(site.visits, 1)
  await clock.advance(1)
  assert.deepEqual(await findNewer(), [{ kty: 'EC', kid: 'b' }])
  assert.equal(site.visits, 2)
})

void test('a site that is down takes no fresh keys away, and is left alone for a minute', async () => {
  const { keys, clock, site } = start()
  await keys.find(tenant, clientAt(uri))
  site.isDown = true
  await clock.advance(minuteMs)
  const newer = await keys.find(tenant, clientAt(uri), { isNewer: true })
  assert.deepEqual(newer, [{ kty: 'EC', kid: 'a' }])
  assert.equal(site.visits, 2)
  await clock.advance(60 * minuteMs)
  assert.deepEqual(await keys.find(tenant, clientAt(uri)), [], 'no longer fresh')
  assert.equal(site.visits, 3)
  site.isDown = false
  await clock.advance(minuteMs - 1)
  assert.deepEqual(await keys.find(tenant, clientAt(uri)), [])
  assert.equal(site.visits, 3)
  await clock.advance(1)
  assert.equal((await keys.find(tenant, clientAt(uri))).length, 1)
})

void test('what is no set of keys gives none', async () => {
  const many = Array.from({ length: 21 }, () => ({ kty: 'EC' }))
  for (const answer of [
    null,
    [],
    'x',
    {},
    { keys: 1 },
    { keys: [1] },
    { keys: [{}] },
    { keys: many },
  ]) {
    const { keys, site } = start()
    site.answer = answer
    assert.deepEqual(await keys.find(tenant, clientAt(uri)), [], JSON.stringify(answer))
  }
})

void test('slow sites do not keep another out', async () => {
  const { keys, site } = start()
  const gate = Promise.withResolvers<void>()
  site.gate = gate.promise
  const slow = Array.from({ length: 20 }, (_, index) =>
    keys.find(tenant, clientAt(`https://slow.test/${index}`)),
  )
  await assert.rejects(keys.find(tenant, clientAt('https://slow.test/one-more')), {
    code: 'too_many_requests',
  })
  const other = keys.find(tenant, clientAt(uri))
  gate.resolve()
  assert.equal((await other).length, 1)
  await Promise.all(slow)
})

void test('a document’s keys are those it has now', async () => {
  const { keys } = start({ keys: [{ kty: 'EC', kid: 'new' }] })
  const old = clientAt(uri)
  const found = await keys.find(tenant, { ...old, kind: 'document' })
  assert.deepEqual(found, [{ kty: 'EC', kid: 'new' }])
})

function start(documentKeys?: NonNullable<OurClientMetadata['jwks']>) {
  const clock = createManualClock()
  const site = {
    visits: 0,
    isDown: false,
    answer: { keys: [{ kty: 'EC', kid: 'a' }] } as unknown,
    gate: Promise.resolve(),
  }
  const fetch = async ({ url }: { readonly url: string }): Promise<OutboundResponse> => {
    site.visits += 1
    await site.gate
    if (site.isDown) throw new Fault('network_error', { because: 'it is down' })
    const json = () => site.answer
    return { status: 200, headers: { get: () => null }, text: '', url, json }
  }
  const find = async () => {
    const { metadata, ...client } = clientAt('')
    const { jwks_uri: _, ...rest } = metadata
    return { ...client, metadata: { ...rest, ...(documentKeys && { jwks: documentKeys }) } }
  }
  const keySets = createKeySets({ clock, outbound: { fetch }, log: silentLog })
  const keys = createClientKeys({ keySets, documents: { find } })
  return { keys, clock, site }
}

function clientAt(jwksUri: string): Client {
  return {
    id: 'mcp_oauth_1',
    kind: 'manual',
    name: 'Machine',
    metadata: {
      redirect_uris: [],
      response_types: [],
      grant_types: ['client_credentials'],
      token_endpoint_auth_method: 'private_key_jwt',
      application_type: 'web',
      jwks_uri: jwksUri,
    },
    metadataDigest: '',
    isDisabled: false,
    freshUntil: 0,
  }
}
