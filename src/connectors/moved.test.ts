// When a server that refuses a token counts as moved to another authorization server, and when it does not.
import assert from 'node:assert/strict'
import { startFaultProvider } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { createBench, signIn } from './bench.rig.ts'

onEveryDatabase(
  'an authorization server that is away while the server still names it costs no sign-in',
  async (t, store) => {
    verifies(t, 'C6', 'C8')
    const [first, second] = [await startFaultProvider(), await startFaultProvider()]
    const server = await startFaultProvider({
      resourceMetadataFields: { authorization_servers: [first.issuer, second.issuer] },
    })
    for (const one of [first, second, server]) t.after(one.stop)
    const bench = await createBench(t, store)
    const ada = await bench.person('ada')
    const { server: added, connection } = await bench.connect(ada, server.mcpUrl)
    assert.equal((await signIn(bench, ada, connection.id)).kind, 'completed')

    first.set({ answers: { metadata: { kind: 'status', status: 503 } } })
    const known = await bench.servers.byId(bench.tenant, added.id)
    assert.ok(known !== undefined)
    const used = await bench.credentials.credentialFor(known, ada.session)
    const renewed = await bench.credentials.refreshAfterUnauthorized(known, ada.session, used)
    assert.equal(renewed.kind, 'bearer', 'its tokens are still for the server')
    assert.equal(first.requests().filter(({ path }) => path === '/revoke').length, 0)

    // Once it is no more named, the server has moved.
    server.set({ resourceMetadataFields: { authorization_servers: [second.issuer] } })
    const again = await bench.credentials.refreshAfterUnauthorized(known, ada.session, renewed)
    assert.equal(again.kind, 'authorization_required')
    assert.equal((await bench.connections.get(ada.session, connection.id)).authorized, false)
  },
)
