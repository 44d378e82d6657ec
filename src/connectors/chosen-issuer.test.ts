// A server with several authorization servers: which one is taken, that it stays, and when it changes.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { startFaultProvider } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import type { Store } from '../store/database.ts'
import { createBench, signIn } from './bench.rig.ts'

/** A server that names two authorization servers, of which the first is not in order yet. */
async function start(t: TestContext, store: Store) {
  const first = await startFaultProvider({ challengeMethods: null })
  const second = await startFaultProvider()
  const issuers = [first.issuer, second.issuer]
  const server = await startFaultProvider({
    resourceMetadataFields: { authorization_servers: issuers },
  })
  for (const one of [first, second, server]) t.after(one.stop)
  const bench = await createBench(t, store)
  const ada = await bench.person('ada')
  const { server: added, connection } = await bench.connect(ada, server.mcpUrl)
  const look = () =>
    bench.upstream.discover.discover({
      tenant: bench.tenant,
      serverUrl: server.mcpUrl,
      fresh: true,
    })
  return { first, second, server, bench, ada, added, id: connection.id, look }
}

onEveryDatabase(
  'an authorization server that was chosen stays, though one before it works now',
  async (t, store) => {
    verifies(t, 'C6', 'C7')
    const { first, second, bench, ada, added, id, look } = await start(t, store)
    const chosen = await look()
    assert.equal(chosen.issuer, second.issuer)
    const host = new URL(second.issuer).host
    const told = (trace: typeof chosen.trace = []) =>
      trace
        .filter(
          ({ step }) => step.startsWith('authorization_server_') && !step.endsWith('metadata'),
        )
        .map((step) => [step.step, step.host, step.outcome])
    assert.deepEqual(told(added.discovered?.trace), [
      ['authorization_server_refused', new URL(first.issuer).host, 'pkce_unsupported'],
      ['authorization_server_chosen', host, 'the first in order'],
    ])

    assert.equal((await signIn(bench, ada, id)).kind, 'completed')
    first.set({ challengeMethods: ['S256'] })
    const again = await look()
    assert.equal(again.issuer, second.issuer)
    assert.deepEqual(told(again.trace), [
      ['authorization_server_chosen', host, 'the same as before'],
    ])
    const server = await bench.servers.byId(bench.tenant, added.id)
    assert.ok(server !== undefined)
    const used = await bench.credentials.credentialFor(server, ada.session)
    const renewed = await bench.credentials.refreshAfterUnauthorized(server, ada.session, used)
    assert.equal(renewed.kind, 'bearer', 'its tokens are still for the server')
  },
)

onEveryDatabase('one that is no more named, or no more in order, is left', async (t, store) => {
  verifies(t, 'C6', 'C8')
  const { first, second, server, bench, ada, id, look } = await start(t, store)
  assert.equal((await signIn(bench, ada, id)).kind, 'completed')
  first.set({ challengeMethods: ['S256'] })
  second.set({ metadataIssuer: 'https://evil.example' })
  assert.equal((await look()).issuer, first.issuer)
  second.set({ metadataIssuer: undefined })
  assert.equal((await look()).issuer, first.issuer, 'and now that one stays')
  server.set({ resourceMetadataFields: { authorization_servers: [second.issuer] } })
  assert.equal((await look()).issuer, second.issuer)
})

onEveryDatabase('a choice that did not lead to a client is made anew', async (t, store) => {
  verifies(t, 'C6')
  const { first, second, bench, ada, id, look } = await start(t, store)
  assert.equal((await look()).issuer, second.issuer)
  first.set({ challengeMethods: ['S256'] })
  second.set({ answers: { register: { kind: 'status', status: 403 } } })
  await assert.rejects(bench.connections.authorize(ada.session, id))
  const begun = await bench.connections.authorize(ada.session, id, { browser: ada.browser })
  assert.ok('authorizeUrl' in begun)
  assert.equal(new URL(begun.authorizeUrl).origin, first.origin)
})
