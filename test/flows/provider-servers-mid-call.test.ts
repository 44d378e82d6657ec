// Servers that take the caller's own sign-in at a provider, while something happens: a call by somebody who has none, a scope that
// the sign-in lacks, a stream that outlives it.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import { operator, restAs, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { signInElsewhere } from './person-provider.ts'
import { echo, startWithTaker } from './provider-taker.ts'
import { signInClient } from './signed-in-client.ts'

const identity = { name: 'latchkey-tests', version: '1.0.0' }

onEveryDatabase(
  'a client of 2026-07-28 asks who has no sign-in at the provider, and goes on',
  async (t, store) => {
    verifies(t, 'S4-11', 'S4-42', 'A4-3')
    const { origin, taker, add } = await startWithTaker(t, store)
    await add()
    const browser = await signIn(origin)
    // A token for the server, without a sign-in at the provider.
    const own = await signInClient({ origin, url: `${origin}/mcp`, browser })
    const all = await own.client.callTool({ name: 'whoami', arguments: {} })
    assert.match(JSON.stringify(all), /ada@example/)
    const authorization = `Bearer ${own.tokens()?.access_token ?? ''}`
    await own.client.close()

    const asked: string[] = []
    const client = new Client(identity, {
      capabilities: { elicitation: { form: {}, url: {} } },
      versionNegotiation: { mode: { pin: '2026-07-28' } },
    })
    client.setRequestHandler('elicitation/create', async ({ params }) => {
      assert.ok(params.mode === 'url')
      asked.push(params.url)
      browser.setStopAt(() => false)
      await browser.open(params.url)
      const landed = await browser.submit({ button: 'Continue with Company' })
      assert.match(landed.html, /go back to your app/)
      return { action: 'accept' as const }
    })
    const url = new URL(`${origin}/mcp`)
    const requestInit = { headers: { authorization } }
    await client.connect(new StreamableHTTPClientTransport(url, { requestInit }))
    const call = { ...echo, name: 'mcp__notes__echo' }
    assert.match(JSON.stringify(await client.callTool(call)), /hello/)
    assert.match(JSON.stringify(await client.callTool(call)), /hello/)
    assert.equal(asked.length, 1, 'asked once')
    assert.match(asked[0] ?? '', new RegExp(`^${origin}/connect/con_\\w+$`))
    assert.equal(taker.callers.at(-1), 'grace')
    assert.ok(!JSON.stringify(taker.calls()).includes('requestState'))
    await client.close()
  },
)

onEveryDatabase(
  'a scope that the sign-in lacks is told, and leads to no sign-in and no storm',
  async (t, store) => {
    verifies(t, 'S4-42', 'S4-43', 'A4-9')
    const { origin, idp, taker, add, connect } = await startWithTaker(t, store)
    await add()
    const { client } = await connect(await signInElsewhere(origin))
    await client.callTool(echo)
    taker.want('notes:write')
    const [asked, spent] = [taker.calls().length, idp.tokenRequests().length]

    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, () => client.callTool(echo)),
    )
    for (const outcome of outcomes) {
      const told = outcome.status === 'rejected' ? String(outcome.reason) : 'it was let in'
      assert.match(told, /notes:write/)
      assert.ok(!told.includes('/connect/'), told)
    }
    assert.equal(idp.tokenRequests().length, spent, 'nothing is made newer for it')
    assert.ok(taker.calls().length - asked <= 20, 'each call asks once')
    const standing = await store.db.selectFrom('provider_grants').select('ended_at').execute()
    assert.deepEqual(standing, [{ ended_at: null }])
    await client.close()
  },
)

onEveryDatabase(
  'an open stream ends with the sign-in that carries it, and no other one does',
  async (t, store) => {
    verifies(t, 'S4-10', 'S4-42', 'S4-45')
    const { origin, idp, taker, add, clock } = await startWithTaker(t, store, {
      keepsSessions: true,
    })
    await add()
    const graceBrowser = createCookieBrowser()
    await signInElsewhere(origin, { browser: graceBrowser })
    const grace = await listen(t, { origin, browser: graceBrowser })
    const henryBrowser = await signInElsewhere(origin, { as: idp, user: 'henry' })
    const henry = await listen(t, { origin, browser: henryBrowser })
    assert.deepEqual(new Set(taker.callers), new Set(['grace', 'henry']))
    await clock.advance(1_000)

    graceBrowser.setStopAt(() => false)
    await graceBrowser.open(`${idp.issuer}/session/end`)
    const out = await graceBrowser.submit({ button: 'Sign out' })
    assert.equal(out.status, 200, out.html)

    await grace.ended
    assert.equal(henry.isOpen(), true)
  },
)

/** A stream at `notes` that stays open, of a client that the person of this browser lets in. */
async function listen(
  t: TestContext,
  {
    origin,
    browser,
  }: { readonly origin: string; readonly browser: ReturnType<typeof createCookieBrowser> },
) {
  const url = `${origin}/notes/mcp`
  const { client, tokens } = await signInClient({ origin, url, browser })
  await client.close()
  const headers = {
    authorization: `Bearer ${tokens()?.access_token ?? ''}`,
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
  }
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: identity }
  const begun = await fetch(url, {
    method: 'POST',
    headers,
    body: JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params }),
  })
  await begun.text()
  const session = { 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' }
  const leaving = new AbortController()
  t.after(() => leaving.abort())
  const stream = await fetch(url, { headers: { ...headers, ...session }, signal: leaving.signal })
  assert.equal(stream.status, 200)
  assert.match(stream.headers.get('content-type') ?? '', /^text\/event-stream/)
  const reader = stream.body!.getReader()
  let isOpen = true
  const ended = (async () => {
    while (!(await reader.read()).done) continue
    isOpen = false
  })()
  ended.catch(() => {}) // The test left.
  return { ended, isOpen: () => isOpen }
}

onEveryDatabase('a provider of another tenant is none here', async (t, store) => {
  verifies(t, 'S4-42', 'A4-5', 'A4-6')
  const { origin, ada, provider, taker, alsoSecret } = await startWithTaker(t, store)
  const issuer = `${origin}/t/acme-co`
  const { body: tenant } = await ada('POST', '/tenants', { slug: 'acme-co', issuer, name: 'Acme' })
  const { body: link } = await ada('POST', `/tenants/${tenant.id}/setup-link`, {})
  alsoSecret([new URL(link.url).searchParams.get('link') ?? ''])
  const browser = createCookieBrowser()
  await browser.open(link.url)
  await browser.submit({ fields: operator })
  const acme = restAs(browser, issuer)

  const wish = { url: taker.url, slug: 'notes', auth: 'provider', providerId: provider.id }
  const refused = await acme('POST', '/servers', wish)
  assert.equal(refused.status, 404, JSON.stringify(refused.body))
  assert.ok(!JSON.stringify(refused.body).includes('Company'))
  const { body: open } = await acme('POST', '/servers', {
    ...wish,
    auth: 'none',
    providerId: undefined,
  })
  const change = { auth: 'provider', providerId: provider.id }
  assert.equal((await acme('PATCH', `/servers/${open.id}`, change)).status, 404)
  for (const method of ['GET', 'PATCH', 'DELETE']) {
    const answer = await acme(
      method,
      `/providers/${provider.id}`,
      method === 'PATCH' ? {} : undefined,
    )
    assert.equal(answer.status, 404, method)
  }
  const rows = await store.db.selectFrom('servers').select(['auth', 'provider_id']).execute()
  assert.deepEqual(rows, [{ auth: 'none', provider_id: null }])
})
