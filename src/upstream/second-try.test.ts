// A refusal that is never followed by a second one: a provider that says once that it does not know a token or a client
// may be wrong, and is asked again before a person is.
import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import { listenOnLoopback } from '../../test/counterparts/loopback.ts'
import { healthy, startFaultProvider } from '../../test/fakes/fault-provider.ts'
import type { FaultProvider } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { isFault } from '../base/fault.ts'
import { code } from '../base/fault.rig.ts'
import { Secret } from '../base/secret.ts'
import {
  approve,
  begin,
  bring,
  contextOf,
  createBench,
  signedIn,
  signIn,
  turning,
} from '../connectors/bench.rig.ts'
import type { Bench } from '../connectors/bench.rig.ts'
import type { Store } from '../store/database.ts'
import { createRefresh } from './refresh.ts'

const minuteMs = 60_000
const secondQuestionMs = 30_000
const refusedOnce = { kind: 'oauth-error', error: 'invalid_grant', times: 1 } as const
const refusedAlways = { kind: 'oauth-error', error: 'invalid_grant' } as const

async function start(t: TestContext, store: Store, faults: Parameters<typeof signedIn>[2] = {}) {
  const setting = await signedIn(t, store, faults)
  return { ...setting, ...asking(setting.bench, setting.id) }
}

function asking(bench: Bench, connectionId: string) {
  const request = { tenant: bench.tenant, connectionId }
  return {
    live: (more = {}) => bench.upstream.refresh.liveToken({ ...request, ...more }),
    failures: () =>
      bench.journal.list({ tenantId: bench.tenant.id, type: 'connection.refresh_failed' }),
  }
}

/** Not now, but in half a minute. */
function later(thrown: unknown): true {
  assert.ok(isFault(thrown))
  assert.deepEqual([thrown.code, thrown.retryAfterS], ['provider_unreachable', 30])
  return true
}

onEveryDatabase(
  'a lone invalid_grant costs nothing: the token stays in use and the next refresh counts',
  async (t, store) => {
    verifies(t, 'A1-8', '§2b-7')
    const { provider, bench, ada, id, refreshes, live, failures } = await start(t, store)
    const first = await live()
    provider.set({ answers: { refresh: refusedOnce } })
    await bench.clock.advance(56 * minuteMs)
    assert.deepEqual(await live(), first)
    assert.deepEqual(await live(), first)
    assert.equal((await bench.connections.get(ada.session, id)).status, 'connected')

    await bench.clock.advance(secondQuestionMs - 1)
    assert.equal(await bench.upstream.refresh.refreshDue(), 0)
    assert.equal(refreshes().length, 1)
    await bench.clock.advance(1)
    assert.equal(await bench.upstream.refresh.refreshDue(), 1)
    assert.equal(refreshes().length, 2)
    assert.notDeepEqual(await live(), first)
    assert.deepEqual(await failures(), [])
  },
)

onEveryDatabase(
  'between a refusal and the second question nobody asks, in no process and after no restart',
  async (t, store, openAnother) => {
    verifies(t, 'S1-64', '§2b-7')
    const { provider, bench, ada, id, refreshes, live, failures } = await start(t, store)
    provider.set({ answers: { refresh: refusedAlways } })
    await bench.clock.advance(61 * minuteMs)
    await assert.rejects(live(), later)
    const other = await createBench(t, await openAnother(), bench.shared)
    const another = asking(other, id)
    await assert.rejects(another.live(), later)
    await assert.rejects(another.live({ force: true }), later)
    await bench.clock.advance(secondQuestionMs - 1)
    await assert.rejects(another.live(), code('provider_unreachable'))
    assert.equal(refreshes().length, 1)
    assert.equal((await bench.connections.get(ada.session, id)).authorized, true)
    assert.deepEqual(await failures(), [])

    await bench.clock.advance(1)
    const lost = { kind: 'reauthorization_required', reason: 'refresh_token_rejected' }
    assert.deepEqual(await another.live(), lost)
    assert.equal(refreshes().length, 2)
    assert.equal((await failures()).length, 1)
  },
)

onEveryDatabase('a doubt ends with the tokens that it was about', async (t, store) => {
  verifies(t, '§2b-7')
  const { provider, bench, ada, id, live, server } = await start(t, store)
  provider.set({ answers: { refresh: refusedAlways } })
  await bench.clock.advance(61 * minuteMs)
  await assert.rejects(live(), later)
  provider.set(healthy)
  const { authorizeUrl } = await begin(bench, ada, id, { additionalScopes: 'more' })
  const context = await contextOf(bench, server.id)
  await bring(bench, ada, { context, query: await approve(authorizeUrl) })
  assert.equal((await live({ force: true })).kind, 'live')
  provider.set({ answers: { refresh: { ...refusedOnce } } })
  await assert.rejects(live({ force: true }), later)
  await bench.clock.advance(secondQuestionMs)
  assert.equal((await live({ force: true })).kind, 'live')
})

onEveryDatabase(
  'when the server refuses the access token too, no second question is needed',
  async (t, store) => {
    verifies(t, 'A1-7', 'S1-64', '§2b-7')
    const { provider, bench, ada, id, refreshes, live } = await start(t, store)
    const dead = { kind: 'reauthorization_required', reason: 'refresh_token_rejected' }
    provider.set({ answers: { refresh: refusedAlways } })
    const first = await live()
    assert.ok(first.kind === 'live')
    assert.deepEqual(await live({ spentGeneration: first.generation }), dead)
    assert.equal(refreshes().length, 1)
    assert.equal((await bench.connections.get(ada.session, id)).status, 'reauth_required')

    provider.set(healthy)
    await signIn(bench, ada, id)
    provider.set({ answers: { refresh: { ...refusedAlways } } })
    await bench.clock.advance(56 * minuteMs)
    const second = await live()
    assert.ok(second.kind === 'live', 'the provider alone says that it is dead')
    assert.equal(refreshes().length, 2)
    assert.deepEqual(await live({ spentGeneration: second.generation }), dead)
    assert.equal(refreshes().length, 2)
  },
)

onEveryDatabase(
  'a refusal after an answer that was lost says that the refresh was interrupted',
  async (t, store) => {
    verifies(t, 'S1-64', '§2b-6')
    const { provider, bench, ada, id, refreshes, live } = await start(t, store)
    provider.set({ answers: { refresh: { kind: 'lost', times: 1 } } })
    const first = await live()
    await bench.clock.advance(56 * minuteMs)
    assert.deepEqual(await live(), first)
    provider.set({ answers: { refresh: { kind: 'status', status: 503, times: 1 } } })
    await bench.clock.advance(secondQuestionMs)
    assert.equal(await bench.upstream.refresh.refreshDue(), 1)
    await bench.clock.advance(secondQuestionMs)
    assert.equal(await bench.upstream.refresh.refreshDue(), 1)
    assert.equal(refreshes().at(-1)?.outcome, 'invalid_grant')
    const shown = await bench.connections.get(ada.session, id)
    assert.deepEqual([shown.status, shown.statusReason], ['reauth_required', 'refresh_interrupted'])
  },
)

onEveryDatabase(
  'a refusal after an answer that was lost a moment ago says the same',
  async (t, store) => {
    verifies(t, '§2b-6')
    const { provider, bench, refreshes, live } = await start(t, store)
    provider.set({ answers: { refresh: { kind: 'lost', times: 1 } } })
    await bench.clock.advance(61 * minuteMs)
    assert.deepEqual(await turning(bench, live()), {
      kind: 'reauthorization_required',
      reason: 'refresh_interrupted',
    })
    assert.equal(refreshes().length, 2)
  },
)

onEveryDatabase('what never left is not an interrupted refresh', async (t, store) => {
  verifies(t, '§2b-6', '§2b-7')
  const { provider, gate, bench, id } = await startGated(t, store)
  const { live } = asking(bench, id)
  const first = await live()
  await gate.stop()
  await bench.clock.advance(56 * minuteMs)
  assert.deepEqual(await live(), first)
  await gate.restart()
  provider.set({ answers: { refresh: refusedOnce } })
  await bench.clock.advance(secondQuestionMs)
  assert.deepEqual(await live(), first)
  await bench.clock.advance(secondQuestionMs)
  assert.notDeepEqual(await live(), first)
})

/** A provider whose token endpoint is reached through a relay that can go away and come back. */
async function startGated(t: TestContext, store: Store) {
  const target: { origin?: string } = {}
  const serve = () => (request: IncomingMessage, response: ServerResponse) => {
    void (async () => {
      const headers = { 'content-type': 'application/x-www-form-urlencoded' }
      const body = await text(request)
      const answer = await fetch(`${target.origin}/token`, { method: 'POST', headers, body })
      response.writeHead(answer.status, { 'content-type': 'application/json' })
      response.end(await answer.text())
    })()
  }
  let relay = await listenOnLoopback(serve)
  t.after(() => relay.stop())
  const provider = await startFaultProvider({
    metadataFields: { token_endpoint: `${relay.origin}/token` },
  })
  t.after(provider.stop)
  target.origin = provider.origin
  const bench = await createBench(t, store)
  const ada = await bench.person('ada')
  const { connection } = await bench.connect(ada, provider.mcpUrl)
  await signIn(bench, ada, connection.id)
  const { port } = relay
  const restart = async () => {
    relay = await listenOnLoopback(serve, { port })
  }
  return { provider, gate: { stop: relay.stop, restart }, bench, id: connection.id }
}

onEveryDatabase(
  'a provider that does not know our client once ends no connection of the server',
  async (t, store) => {
    verifies(t, 'S1-38', '§2b-7')
    const { provider, bench, id, live, failures, server } = await start(t, store)
    const bob = await bench.person('bob')
    const made = await bench.connections.create(bob.session, { serverId: server.id })
    await signIn(bench, bob, made.id)
    provider.set({ answers: { refresh: { ...refusedOnce, error: 'invalid_client' } } })
    await bench.clock.advance(61 * minuteMs)
    await assert.rejects(live(), later)
    assert.equal((await asking(bench, made.id).live()).kind, 'live')
    await bench.clock.advance(secondQuestionMs)
    assert.equal((await live()).kind, 'live')
    assert.equal(provider.registrations().length, 1)
    assert.deepEqual(await failures(), [])
    assert.equal((await bench.connections.get(bob.session, made.id)).status, 'connected')
    assert.notEqual(made.id, id)
  },
)

onEveryDatabase(
  'a registration that took the place of the refused one is not forgotten with it',
  async (t, store) => {
    verifies(t, 'S1-38')
    const { provider, bench, live, server } = await start(t, store)
    provider.forgetClients()
    await bench.clock.advance(61 * minuteMs)
    await assert.rejects(live(), later)
    await store.db.deleteFrom('registrations').execute()
    const bob = await bench.person('bob')
    const made = await bench.connections.create(bob.session, { serverId: server.id })
    await signIn(bench, bob, made.id)
    await bench.clock.advance(secondQuestionMs)
    assert.deepEqual(await live(), { kind: 'reauthorization_required', reason: 'client_lost' })
    assert.equal((await asking(bench, made.id).live({ force: true })).kind, 'live')
  },
)

/** A server with a client that an administrator gave, which the provider knows. */
async function startGiven(t: TestContext, store: Store) {
  const setting = await start(t, store)
  const { provider, bench, server } = setting
  const root = await bench.person('root', 'admin')
  const context = await contextOf(bench, server.id)
  const client = await registerByHand(
    provider,
    `${bench.tenant.issuer}/connect/callback/${context}`,
  )
  await bench.servers.update(root.session, server.id, client)
  const made = await bench.connections.create(root.session, { serverId: server.id })
  await signIn(bench, root, made.id)
  const { clientId, clientSecret: secret } = client
  const named = { tenantId: bench.tenant.id, serverId: server.id, clientId }
  const change = (to: string) =>
    bench.upstream.register.changeProof(store.db, named, { clientSecret: new Secret(to) })
  return { ...setting, ...asking(bench, made.id), id: made.id, root, secret, change }
}

async function registerByHand(
  { origin }: FaultProvider,
  redirectUri: string,
  method = 'client_secret_basic',
) {
  const answer = await fetch(`${origin}/register`, {
    method: 'POST',
    body: JSON.stringify({ token_endpoint_auth_method: method, redirect_uris: [redirectUri] }),
  })
  const { client_id: clientId, client_secret: clientSecret } = (await answer.json()) as {
    readonly client_id: string
    readonly client_secret: string
  }
  return { clientId, clientSecret }
}

onEveryDatabase(
  'a secret that an administrator changes is tried at once, and its refusal is a first one',
  async (t, store) => {
    verifies(t, '§2b-7')
    const { bench, live, change, secret, failures } = await startGiven(t, store)
    await change('wrong')
    await bench.clock.advance(61 * minuteMs)
    await assert.rejects(live(), later)
    await change('wrong too')
    await assert.rejects(live(), later)
    assert.deepEqual(await failures(), [])
    await change(secret)
    assert.equal((await live()).kind, 'live')
  },
)

onEveryDatabase(
  'a key that an administrator changes is tried at once, as a secret is',
  async (t, store) => {
    verifies(t, '§2b-7')
    const { provider, bench, server, refreshes } = await start(t, store)
    const root = await bench.person('root', 'admin')
    const redirectUri = `${bench.tenant.issuer}/connect/callback/${await contextOf(bench, server.id)}`
    const { clientId } = await registerByHand(provider, redirectUri, 'none')
    const change = (wish: { readonly clientId?: string }) =>
      bench.servers.update(root.session, server.id, { ...wish, clientKey: 'generate' })
    await change({ clientId })
    const made = await bench.connections.create(root.session, { serverId: server.id })
    await signIn(bench, root, made.id)
    const { live } = asking(bench, made.id)
    provider.set({ answers: { refresh: { ...refusedOnce, error: 'invalid_client' } } })
    await bench.clock.advance(61 * minuteMs)
    await assert.rejects(live(), later)
    await assert.rejects(live(), later)
    assert.equal(refreshes().length, 1, 'the same key is not tried again at once')
    assert.ok(refreshes()[0]?.parameters['client_assertion'], 'it is the key that proves us')
    await change({})
    assert.equal((await live()).kind, 'live')
  },
)

onEveryDatabase(
  'a secret that changes while the call is away is tried in the same breath',
  async (t, store) => {
    verifies(t, '§2b-7')
    const { bench, id, change, secret, refreshes } = await startGiven(t, store)
    await change('wrong')
    const { tokenEndpoint } = bench.upstream
    const refreshTokens: typeof tokenEndpoint.refreshTokens = async (...call) => {
      const answer = await tokenEndpoint.refreshTokens(...call)
      await change(secret)
      return answer
    }
    const slow = { ...tokenEndpoint, refreshTokens }
    const refresh = createRefresh({ ...bench, ...bench.upstream, tokenEndpoint: slow })
    const before = refreshes().length
    const request = { tenant: bench.tenant, connectionId: id, force: true }
    assert.equal((await refresh.liveToken(request)).kind, 'live')
    assert.deepEqual(
      refreshes()
        .slice(before)
        .map(({ outcome }) => outcome),
      ['invalid_client', 'issued'],
    )
  },
)

onEveryDatabase(
  'a given client that is refused twice is the administrator’s matter, and is asked on',
  async (t, store) => {
    verifies(t, '§2b-7')
    const { bench, id, root, live, change, secret, failures } = await startGiven(t, store)
    await change('wrong')
    await bench.clock.advance(61 * minuteMs)
    await assert.rejects(live(), later)
    await bench.clock.advance(secondQuestionMs)
    await assert.rejects(live(), code('client_configuration'))
    const shown = await bench.connections.get(root.session, id)
    assert.deepEqual([shown.status, shown.statusReason], ['error', 'client_lost'])
    assert.equal((await failures()).length, 1)
    await change(secret)
    assert.equal((await live()).kind, 'live')
  },
)
