import assert from 'node:assert/strict'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { neverUsedMax } from './client-hygiene.ts'
import { registerForDevices, start } from './device.rig.ts'
import {
  approve,
  authorizeQuery,
  createRig,
  createTwins,
  form,
  isGood,
  obtainTokens,
  redirectUri,
  refused,
  refreshForm,
  register,
  tokens,
} from './issuer.rig.ts'
import type { Rig } from './issuer.rig.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs

onEveryDatabase(
  'a public client that registers in the same words is found again: peers §3 row 48',
  async (t, store) => {
    const rig = await createRig(t, store)
    const first = await rig.issuer.register(rig.tenant, description)
    await rig.clock.advance(hourMs)
    assert.deepEqual(await rig.issuer.register(rig.tenant, description), first)
    assert.deepEqual(await rig.journalTypes(), ['client.registered', 'client.registered_again'])
    for (const other of [
      { client_name: 'Other' },
      { redirect_uris: [redirectUri, 'https://app.test/other'] },
      { scope: 'mcp' },
      { logo_uri: 'https://app.test/logo.png' },
      { grant_types: ['authorization_code'] },
    ]) {
      const answer = await rig.issuer.register(rig.tenant, { ...description, ...other })
      assert.notEqual(answer['client_id'], first['client_id'], JSON.stringify(other))
    }
  },
)

onEveryDatabase(
  'a client with a secret, and one that an administrator touched, is never found again',
  async (t, store) => {
    const rig = await createRig(t, store)
    const by = { tenant: rig.tenant }
    const secret = { token_endpoint_auth_method: 'client_secret_post' }
    const one = await register(rig, secret)
    const two = await register(rig, secret)
    assert.notEqual(one.id, two.id)

    const open = await register(rig)
    await rig.issuer.clients.update(by, open.id, { disabled: true })
    const next = await register(rig)
    assert.notEqual(next.id, open.id)
    await rig.issuer.clients.update(by, open.id, { disabled: false })
    assert.equal((await register(rig)).id, next.id)
    await rig.issuer.clients.remove(by, next.id)
    const anew = await register(rig)
    assert.equal([open.id, next.id].includes(anew.id), false)
  },
)

onEveryDatabase(
  'fifty identical registrations at once, in two processes, are one client',
  async (t, store, openAnother) => {
    const twins = await createTwins(t, store, openAnother)
    const ids = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const rig = index % 2 === 0 ? twins[0] : twins[1]
        return (await register(rig)).id
      }),
    )
    assert.equal(new Set(ids).size, 1)
    assert.deepEqual(await idsOf(twins[0]), [ids[0]])
  },
  { needsConnections: true },
)

onEveryDatabase(
  'a flood of registrations pushes out the oldest unused ones and no used one: X-24, P-13',
  async (t, store) => {
    verifies(t, 'X-24', 'P-13')
    const rig = await createRig(t, store)
    const used = await register(rig)
    const { access } = await obtainTokens(rig, await rig.signIn(), used)
    const manual = await rig.issuer.clients.create(
      { tenant: rig.tenant },
      { name: 'By hand', redirectUris: [redirectUri] },
    )
    const oldest = await register(rig, { client_name: 'oldest' })
    const again = await register(rig, { client_name: 'asked for again' })
    await fill(rig, neverUsedMax - 2)
    await rig.clock.advance(1)
    await register(rig, { client_name: 'asked for again' })
    assert.equal((await idsOf(rig)).length, neverUsedMax + 2, 'the bound is reached')

    await register(rig, { client_name: 'one more' })
    const left = await idsOf(rig)
    assert.equal(left.length, neverUsedMax + 2)
    assert.equal(left.includes(oldest.id), false)
    for (const { id } of [used, again, manual.client]) assert.ok(left.includes(id))
    assert.equal(await isGood(rig, access), true)
  },
)

onEveryDatabase('a flood pushes nobody out who is on the way in: X-24', async (t, store) => {
  const rig = await createRig(t, store)
  const { issuer, tenant, clock } = rig
  const asking = await register(rig, { client_name: 'asking' })
  await issuer.authorize.begin(tenant, authorizeQuery(asking), undefined)
  const waiting = await registerForDevices(rig)
  await start(rig, waiting)
  await fill(rig, neverUsedMax)
  await clock.advance(9 * 60_000)
  const pushing = await register(rig, { client_name: 'pushing' })
  await issuer.push(tenant, form(Object.fromEntries(authorizeQuery(pushing))))
  await clock.advance(1)
  // Each registration lets at most a hundred go, so the bound is reached with the last of these.
  const flood = async (name: string) => {
    for (let step = 0; step < 3; step += 1) {
      await fill(rig, 500, `${name}${step}`)
      for (let more = 0; more < 6; more += 1) {
        await register(rig, { client_name: `${name} ${step} ${more}` })
      }
    }
    return idsOf(rig)
  }

  const left = await flood('first')
  assert.equal(left.length, neverUsedMax + 3)
  for (const { id } of [asking, waiting, pushing]) assert.ok(left.includes(id))
  await approve(rig, await rig.signIn(), authorizeQuery(asking))

  await clock.advance(60_000)
  const later = await flood('second')
  const stillThere = [asking, waiting, pushing].map(({ id }) => later.includes(id))
  assert.deepEqual(stillThere, [true, false, true])
  await clock.advance(30_000)
  assert.equal((await flood('third')).includes(pushing.id), false)
})

onEveryDatabase(
  'a registration that nobody used goes after a day, a used one never: P-13, peers §3 row 25',
  async (t, store) => {
    verifies(t, 'P-13')
    const rig = await createRig(t, store)
    const used = await register(rig, { client_name: 'used' })
    const person = await rig.signIn()
    const { refresh } = await obtainTokens(rig, person, used)
    const unused = await register(rig, { client_name: 'unused' })
    const again = await register(rig, { client_name: 'again' })
    const asking = await register(rig, { client_name: 'asking' })
    await rig.clock.advance(dayMs - 1)
    assert.equal((await rig.issuer.sweep(rig.clock.now())).clients, 0)
    await register(rig, { client_name: 'again' })
    await rig.issuer.authorize.begin(rig.tenant, authorizeQuery(asking), undefined)

    await rig.clock.advance(1)
    assert.equal((await rig.issuer.sweep(rig.clock.now())).clients, 1)
    assert.deepEqual((await idsOf(rig)).toSorted(), [again.id, asking.id, used.id].toSorted())
    await tokens(rig, refreshForm(used, refresh))
    await refused(
      rig.issuer.authorize.begin(rig.tenant, authorizeQuery(unused), undefined),
      'invalid_client',
    )
    await rig.clock.advance(20 * dayMs)
    await rig.issuer.sweep(rig.clock.now())
    assert.deepEqual(await idsOf(rig), [used.id])
  },
)

onEveryDatabase('a client made by hand waits for its first use forever', async (t, store) => {
  const rig = await createRig(t, store)
  const by = { tenant: rig.tenant }
  await rig.issuer.clients.create(by, { name: 'x', redirectUris: [redirectUri] })
  await rig.clock.advance(400 * dayMs)
  assert.equal((await rig.issuer.sweep(rig.clock.now())).clients, 0)
  assert.equal((await idsOf(rig)).length, 1)
})

onEveryDatabase(
  'a sweep takes what has expired, and a refresh token outlives its access token',
  async (t, store) => {
    verifies(t, 'S3-11')
    const rig = await createRig(t, store)
    const client = await register(rig)
    const person = await rig.signIn()
    const { refresh } = await obtainTokens(rig, person, client)
    const nothing = {
      authorizationRequests: 0,
      pushedRequests: 0,
      codes: 0,
      accessTokens: 0,
      refreshTokens: 0,
      deviceCodes: 0,
      deviceGuesses: 0,
      clientSecrets: 0,
      clientAssertions: 0,
      dpopProofs: 0,
      clients: 0,
    }
    await rig.clock.advance(10 * 60_000 - 1)
    assert.deepEqual(await rig.issuer.sweep(rig.clock.now()), nothing)
    await rig.clock.advance(1)
    const sweep = () => rig.issuer.sweep(rig.clock.now())
    assert.deepEqual(await sweep(), { ...nothing, authorizationRequests: 1 })
    await rig.clock.advance(50 * 60_000)
    assert.deepEqual(await sweep(), { ...nothing, accessTokens: 1 })
    assert.deepEqual(await sweep(), nothing)

    await rig.clock.advance(dayMs - hourMs + 60_000 - 1)
    assert.deepEqual(await sweep(), nothing, 'a code stays a day, for its replay to be seen')
    await rig.clock.advance(1)
    assert.deepEqual(await sweep(), { ...nothing, codes: 1 })

    await rig.clock.advance(28 * dayMs)
    const { refresh: next } = await tokens(rig, refreshForm(client, refresh))
    await rig.clock.advance(dayMs - 60_000)
    assert.deepEqual(await sweep(), { ...nothing, accessTokens: 1, refreshTokens: 1 })
    await tokens(rig, refreshForm(client, next))
  },
)

onEveryDatabase(
  'a sweep of many rows and a sweep at the same moment count each once',
  async (t, store) => {
    const rig = await createRig(t, store)
    const client = await register(rig)
    await obtainTokens(rig, await rig.signIn(), client)
    const [row] = await rig.db.selectFrom('access_tokens').selectAll().execute()
    assert.ok(row !== undefined)
    const rows = Array.from({ length: 1200 }, (_, index) => ({ ...row, token_digest: `d${index}` }))
    for (let start = 0; start < rows.length; start += 400) {
      await rig.db
        .insertInto('access_tokens')
        .values(rows.slice(start, start + 400))
        .execute()
    }
    await rig.clock.advance(2 * hourMs)
    const now = rig.clock.now()
    const swept = await Promise.all(Array.from({ length: 4 }, () => rig.issuer.sweep(now)))
    const total = swept.reduce((sum, { accessTokens }) => sum + accessTokens, 0)
    assert.equal(total, 1201)
    assert.deepEqual(await rig.db.selectFrom('access_tokens').selectAll().execute(), [])
  },
)

const description = {
  client_name: 'Tester',
  redirect_uris: [redirectUri],
  grant_types: ['authorization_code', 'refresh_token'],
  token_endpoint_auth_method: 'none',
}

async function idsOf({ db, tenant }: Rig): Promise<readonly string[]> {
  const rows = await db
    .selectFrom('clients')
    .select('id')
    .where('tenant_id', '=', tenant.id)
    .execute()
  return rows.map(({ id }) => id)
}

/** Puts many unused registrations beside those that are there. */
async function fill({ db, clock }: Rig, count: number, name = 'flood'): Promise<void> {
  await clock.advance(1)
  const model = await db
    .selectFrom('clients')
    .selectAll()
    .where('registration_digest', 'is not', null)
    .executeTakeFirstOrThrow()
  const rows = Array.from({ length: count }, (_, index) => ({
    ...model,
    id: `mcp_oauth_${name}${index}`,
    registration_digest: `${name}${index}`,
    registered_at: clock.now(),
    used_at: null,
  }))
  for (let start = 0; start < count; start += 500) {
    await db
      .insertInto('clients')
      .values(rows.slice(start, start + 500))
      .execute()
  }
}
