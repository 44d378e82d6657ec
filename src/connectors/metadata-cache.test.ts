// How long what discovery found at a server is used again: as its administrator said, else as the installation says.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { startFaultProvider } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { code } from '../base/fault.rig.ts'
import type { Store } from '../store/database.ts'
import { sweepUpstream } from '../upstream/sweep.ts'
import { createBench } from './bench.rig.ts'

const minuteMs = 60_000
const requestsOfALook = 3

/** A provider, a server of it, and sign-ins there that each begin a connection of their own. */
async function start(t: TestContext, store: Store) {
  const provider = await startFaultProvider()
  t.after(provider.stop)
  const bench = await createBench(t, store)
  const ada = await bench.person('ada', 'admin')
  const add = (metadataCacheMinutes?: number) =>
    bench.servers.create(ada.session, {
      url: provider.mcpUrl,
      auth: 'oauth',
      ...(metadataCacheMinutes === undefined ? {} : { metadataCacheMinutes }),
    })
  const looks = () =>
    provider.requests().filter(({ path }) => path !== '/register').length / requestsOfALook
  let labels = 0
  /** How many looks a sign-in for a new connection took. */
  const looksFor = async (serverId: string) => {
    const before = looks()
    labels += 1
    const label = `${labels}`
    const { id } = await bench.connections.create(ada.session, { serverId, label })
    await bench.connections.authorize(ada.session, id, { browser: ada.browser })
    return looks() - before
  }
  return { provider, bench, ada, add, looks, looksFor }
}

onEveryDatabase(
  'saving a server looks, and sign-ins use that until the server’s own time is over',
  async (t, store) => {
    verifies(t, 'S1-20', 'S1-26', 'A1-14')
    const { bench, ada, add, looks, looksFor } = await start(t, store)
    const { id, metadataCacheMinutes } = await add(5)
    assert.equal(metadataCacheMinutes, 5)
    assert.equal(looks(), 1, 'saving looked')
    assert.equal(await looksFor(id), 0)
    await bench.clock.advance(5 * minuteMs - 1)
    assert.equal(await looksFor(id), 0)
    await bench.clock.advance(1)
    assert.equal(await looksFor(id), 1)
    assert.equal(await looksFor(id), 0)

    await bench.servers.update(ada.session, id, { metadataCacheMinutes: 60 })
    await bench.clock.advance(60 * minuteMs - 1)
    assert.equal(await looksFor(id), 0, 'a longer time holds for what was found before')
    const reset = await bench.servers.update(ada.session, id, { metadataCacheMinutes: null })
    assert.equal(reset.metadataCacheMinutes, undefined)
    await bench.clock.advance(23 * 60 * minuteMs)
    assert.equal(await looksFor(id), 0, 'the installation says a day')
    await bench.clock.advance(1)
    assert.equal(await looksFor(id), 1)
  },
)

onEveryDatabase('two servers at one address each have their own time', async (t, store) => {
  verifies(t, 'S1-20')
  const { bench, add, looksFor } = await start(t, store)
  const [short, usual] = [await add(5), await add()]
  await bench.clock.advance(6 * minuteMs)
  assert.equal(await looksFor(usual.id), 0)
  assert.equal(await looksFor(short.id), 1)
  assert.equal(await looksFor(usual.id), 0)
})

onEveryDatabase('a longer time than the installation’s outlives the sweep', async (t, store) => {
  verifies(t, 'S1-20')
  const { bench, add, looksFor } = await start(t, store)
  const { id } = await add(2 * 1440)
  await bench.clock.advance(2 * 1440 * minuteMs - 1)
  await sweepUpstream(store.db, bench.clock.now())
  assert.equal(await looksFor(id), 0)
  await bench.clock.advance(31 * 1440 * minuteMs)
  const { discoveries } = await sweepUpstream(store.db, bench.clock.now())
  assert.equal(discoveries, 1, 'in the end everything goes')
})

onEveryDatabase('a time is whole minutes from five to thirty days', async (t, store) => {
  verifies(t, 'S1-20', 'A1-14')
  const { add } = await start(t, store)
  for (const minutes of [4, 0, -5, 5.5, NaN, 43_201]) {
    await assert.rejects(add(minutes), code('invalid_input'), String(minutes))
  }
  for (const minutes of [5, 1440, 43_200]) assert.equal((await add(minutes)).auth, 'oauth')
})
