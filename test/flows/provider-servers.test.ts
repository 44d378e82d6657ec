// Servers that are reached with the caller's own sign-in at a provider of the tenant: whose token goes there, how it stays
// alive, where a person without one is led, and what an administrator may do about it.
import assert from 'node:assert/strict'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { signInElsewhere } from './person-provider.ts'
import { echo, linkIn, startWithTaker } from './provider-taker.ts'
import { signInClient } from './signed-in-client.ts'

onEveryDatabase('a call carries the token of the caller’s own sign-in', async (t, store) => {
  verifies(t, 'S4-42', 'S4-43', 'A4-9')
  const { origin, idp, provider, taker, add, connect, clock } = await startWithTaker(t, store)
  const added = await add()
  assert.equal(added.status, 201, JSON.stringify(added.body))
  assert.deepEqual([added.body.auth, added.body.providerId], ['provider', provider.id])
  // One provider serves many servers.
  assert.equal((await add({ slug: 'others' })).status, 201)

  const grace = await connect(await signInElsewhere(origin))
  assert.match(JSON.stringify(await grace.client.callTool(echo)), /hello/)
  assert.equal(taker.callers.at(-1), 'grace')

  // Nobody else's sign-in is renewed by the clock while these are counted.
  const refreshes = () => idp.tokenRequests().filter(({ grant }) => grant === 'refresh_token')
  await clock.advance(595_000)
  await Promise.all(Array.from({ length: 20 }, () => grace.client.callTool(echo)))
  assert.equal(refreshes().length, 1, 'once for all who ask')

  // The server refuses what the provider still holds good: a newer one is got once, and the call goes through.
  taker.refuse(taker.tokens().at(-1) ?? '')
  assert.match(JSON.stringify(await grace.client.callTool(echo)), /hello/)
  assert.equal(taker.callers.at(-1), 'grace')
  assert.equal(refreshes().length, 2)

  const henry = await connect(await signInElsewhere(origin, { as: idp, user: 'henry' }))
  assert.match(JSON.stringify(await henry.client.callTool(echo)), /hello/)
  assert.equal(taker.callers.at(-1), 'henry')
  assert.match(JSON.stringify(await grace.client.callTool(echo)), /hello/)
  assert.equal(taker.callers.at(-1), 'grace')
  await grace.client.close()
  await henry.client.close()
})

onEveryDatabase('a sign-in at one provider is none at another', async (t, store) => {
  verifies(t, 'S4-42', 'S4-43')
  const { origin, idp, ada, taker, add, connect } = await startWithTaker(t, store)
  const { body: other } = await ada('POST', '/providers', {
    kind: 'oidc',
    name: 'Other',
    issuer: idp.issuer,
    clientId: 'latchkey-at-the-other',
    keepsTokens: true,
  })
  const { body: server } = await add()
  const browser = await signInElsewhere(origin)
  const { client } = await connect(browser)
  await client.callTool(echo)
  const moved = await ada('PATCH', `/servers/${server.id}`, { providerId: other.id })
  assert.deepEqual([moved.status, moved.body.providerId], [200, other.id])
  const before = taker.callers.length
  await linkIn(client.callTool(echo))
  assert.equal(taker.callers.length, before)
  await client.close()
})

onEveryDatabase('who signed in with a password is led to the provider once', async (t, store) => {
  verifies(t, 'S4-42', 'A4-9')
  const { origin, idp, ada, taker, add, connect } = await startWithTaker(t, store)
  const { body: server } = await add()
  const browser = await signIn(origin)
  const link = await linkIn(connect(browser))
  assert.match(link, new RegExp(`^${origin}/connect/con_\\w+$`))
  const tested = await ada('POST', `/servers/${server.id}/test`)
  assert.equal(tested.body.error, 'authorization_required')

  browser.setStopAt(() => false)
  const asked = await browser.open(link)
  assert.ok(asked.url.startsWith(origin), 'our page first')
  const landed = await browser.submit({ button: 'Continue with Company' })
  assert.match(landed.html, /go back to your app/)
  const { client } = await connect(browser)
  assert.match(JSON.stringify(await client.callTool(echo)), /hello/)
  assert.equal(taker.callers.at(-1), 'grace')
  const { body: mine } = await ada('GET', '/connections')
  assert.deepEqual(
    mine.items.map(({ authorized }: { authorized: boolean }) => authorized),
    [true],
  )
  assert.equal((await ada('POST', `/servers/${server.id}/test`)).body.ok, true)
  for (const token of idp.tokensIssued()) assert.ok(!JSON.stringify(mine).includes(token))
  await client.close()
})

onEveryDatabase('nobody becomes another person on the way', async (t, store) => {
  verifies(t, 'A4-11', 'S4-42')
  const { origin, add, ada, taker } = await startWithTaker(t, store)
  const { body: server } = await add()
  // Grace is here already, by the provider; and an administrator with a password comes back as grace.
  await signInElsewhere(origin)
  const tested = await ada('POST', `/servers/${server.id}/test`)
  assert.equal(tested.body.error, 'authorization_required', 'nobody has another’s sign-in')
  const { body: made } = await ada('POST', '/connections', { serverId: server.id })
  const browser = await signIn(origin)
  await browser.open(`${origin}/connect/${made.id}`)
  const landed = await browser.submit({ button: 'Continue with Company' })
  assert.match(landed.html, /belongs to somebody else here/)
  const { body: after } = await ada('GET', `/connections/${made.id}`)
  assert.equal(after.authorized, false)
  const grants = await store.db.selectFrom('provider_grants').select('user_id').execute()
  assert.equal(grants.length, 1)
  assert.deepEqual(taker.callers, [])

  // A link opens for its owner and nobody else.
  const stranger = await signInElsewhere(origin)
  assert.equal((await stranger.open(`${origin}/connect/${made.id}`)).status, 404)
})

onEveryDatabase('a server names a provider of its tenant, and no other thing', async (t, store) => {
  verifies(t, 'S4-13', 'S4-42', 'A4-5', 'A4-6')
  const { add, ada, provider } = await startWithTaker(t, store)
  const without = await add({ providerId: undefined })
  assert.equal(without.status, 422, JSON.stringify(without.body))
  assert.match(JSON.stringify(without.body), /providerId/)
  const unknown = await add({ providerId: 'prv_nobody' })
  assert.equal(unknown.status, 404)
  const useless = await add({ auth: 'none' })
  assert.equal(useless.status, 422)
  const { body: server } = await add()
  const mixed = await ada('PATCH', `/servers/${server.id}`, {
    auth: 'none',
    providerId: provider.id,
  })
  assert.equal(mixed.status, 422)
  const left = await ada('PATCH', `/servers/${server.id}`, { auth: 'none' })
  assert.deepEqual([left.status, left.body.providerId], [200, undefined])
  const back = await ada('PATCH', `/servers/${server.id}`, {
    auth: 'provider',
    providerId: provider.id,
  })
  assert.deepEqual([back.status, back.body.providerId], [200, provider.id])
})

onEveryDatabase('what a server uses is not taken from under it', async (t, store) => {
  verifies(t, 'S4-40', 'S4-43')
  const { add, ada, provider } = await startWithTaker(t, store)
  const { body: server } = await add()
  assert.equal((await ada('DELETE', `/providers/${provider.id}`)).status, 409)
  assert.equal(
    (await ada('PATCH', `/providers/${provider.id}`, { keepsTokens: false })).status,
    409,
  )
  assert.equal((await ada('PATCH', `/providers/${provider.id}`, { name: 'Firm' })).status, 200)
  assert.equal((await ada('DELETE', `/servers/${server.id}`)).status, 204)
  const forgets = await ada('PATCH', `/providers/${provider.id}`, { keepsTokens: false })
  assert.equal(forgets.status, 200)
  assert.equal((await add()).status, 422, 'one that keeps nothing gives nothing')
  assert.equal((await ada('PATCH', `/providers/${provider.id}`, { keepsTokens: true })).status, 200)

  const answers = await Promise.all([
    ...Array.from({ length: 25 }, (_, index) => add({ slug: `s${index}` })),
    ...Array.from({ length: 25 }, () => ada('DELETE', `/providers/${provider.id}`)),
  ])
  for (const { status } of answers) assert.ok([201, 204, 404, 409].includes(status), `${status}`)
  const servers = await store.db.selectFrom('servers').select('provider_id').execute()
  const providers = await store.db.selectFrom('providers').select('id').execute()
  const isThere = providers.length === 1
  assert.equal(servers.length > 0, isThere, 'either the provider stays, or nobody has it')
})

onEveryDatabase(
  'what the provider has ended ends here, and leads to a sign-in and no storm',
  async (t, store) => {
    verifies(t, 'A4-9', 'S4-42')
    const { origin, idp, add, connect, clock, taker } = await startWithTaker(t, store)
    await add()
    const { client, tokens } = await connect(await signInElsewhere(origin))
    await client.callTool(echo)
    idp.revokeEverything()
    const before = idp.tokenRequests().length
    const outcomes = async () =>
      Promise.allSettled(Array.from({ length: 20 }, () => client.callTool(echo)))
    const lost = await outcomes()
    assert.ok(lost.every(({ status }) => status === 'rejected'))
    await clock.advance(31_000)
    await outcomes()
    assert.ok(idp.tokenRequests().length - before <= 3, 'the provider is not run against')
    const rows = await store.db.selectFrom('provider_grants').select('end_reason').execute()
    assert.deepEqual(rows, [{ end_reason: 'provider_ended' }])
    const authorization = `Bearer ${tokens()?.access_token ?? ''}`
    const { status } = await fetch(`${origin}/notes/mcp`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: '{}',
    })
    assert.equal(status, 401)
    assert.ok(taker.callers.every((sub) => sub === 'grace'))
    await client.close()
  },
)

onEveryDatabase(
  'one server’s refusal ends no sign-in, and the newest one is taken instead',
  async (t, store) => {
    verifies(t, 'S4-43', 'A4-9')
    const { origin, idp, add, connect, taker, alsoSecret } = await startWithTaker(t, store, {
      clientMetadata: { grant_types: ['authorization_code'] },
    })
    await add()
    const browser = await signInElsewhere(origin)
    const { client, tokens } = await connect(browser)
    await client.callTool(echo)
    taker.refuse(taker.tokens().at(-1) ?? '')
    const link = await linkIn(client.callTool(echo))
    const standing = await store.db.selectFrom('provider_grants').select('ended_at').execute()
    assert.deepEqual(standing, [{ ended_at: null }])

    browser.setStopAt(() => false)
    await browser.open(link)
    assert.match((await browser.submit({ button: 'Continue with Company' })).html, /go back to/)
    assert.match(JSON.stringify(await client.callTool(echo)), /hello/)
    assert.equal(new Set(idp.tokensIssued().filter((one) => taker.tokens().includes(one))).size, 2)
    assert.ok(!taker.tokens().includes(tokens()?.access_token ?? ''), 'ours goes nowhere')
    alsoSecret(taker.tokens())
    await client.close()
  },
)

onEveryDatabase('the tools of our own endpoint say how a person stands', async (t, store) => {
  verifies(t, 'S4-42')
  const { origin, add } = await startWithTaker(t, store)
  await add()
  const ask = async (browser: CookieBrowser) => {
    const { client } = await signInClient({ origin, url: `${origin}/mcp`, browser })
    const told = await client.callTool({ name: 'list_connections', arguments: {} })
    const link = await client.callTool({ name: 'connect', arguments: { server: 'notes' } })
    await client.close()
    const { connections } = told.structuredContent as { connections: readonly State[] }
    return { state: connections[0], link: JSON.stringify(link.structuredContent) }
  }
  interface State {
    readonly status: string
    readonly connectUrl?: string
  }
  const grace = await ask(await signInElsewhere(origin))
  assert.deepEqual([grace.state?.status, grace.state?.connectUrl], ['connected', undefined])
  assert.match(grace.link, /\/connect\/con_/)
  const ada = await ask(await signIn(origin))
  assert.equal(ada.state?.status, 'disconnected')
  assert.match(ada.state?.connectUrl ?? '', /\/connect\/con_/)
})
