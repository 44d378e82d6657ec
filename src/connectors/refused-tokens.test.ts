// A server that refuses every token: its provider is not asked for a new one with every call.
import assert from 'node:assert/strict'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { signedIn } from './bench.rig.ts'

const minuteMs = 60_000

onEveryDatabase(
  'a server that refuses every token makes us ask its provider a few times and no more',
  async (t, store) => {
    verifies(t, 'X-38')
    const { bench, ada, server, id, refreshes } = await signedIn(t, store)
    const known = await bench.servers.byId(bench.tenant, server.id)
    assert.ok(known !== undefined)
    const call = async () => {
      const used = await bench.credentials.credentialFor(known, ada.session)
      return bench.credentials.refreshAfterUnauthorized(known, ada.session, used)
    }
    for (let calls = 0; calls < 20; calls += 1) await call()
    assert.equal(refreshes().length, 5)
    assert.equal((await call()).kind, 'authorization_required')
    const connection = await bench.connections.get(ada.session, id)
    assert.equal(connection.authorized, true, 'and nothing is lost by it')

    await bench.clock.advance(minuteMs)
    assert.equal((await call()).kind, 'bearer')
    assert.equal(refreshes().length, 6)
  },
)
