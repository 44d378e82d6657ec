// A month in the life of a hundred people's connections: each is kept alive by itself, with its own tokens, and nobody signs
// in a second time.
import assert from 'node:assert/strict'
import { createBench, signIn } from '../../src/connectors/bench.rig.ts'
import type { Bench } from '../../src/connectors/bench.rig.ts'
import { startFaultProvider } from '../fakes/fault-provider.ts'
import type { FaultProvider } from '../fakes/fault-provider.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'

const people = 100
const rounds = 10
/** How long a token lives: ten of them are a month. */
const lifetimeMs = 3 * 86_400_000

onEveryDatabase(
  'a hundred connections live for a month on one sign-in each, and no token crosses over',
  async (t, store) => {
    verifies(t, 'S1-79', 'A1-6')
    const provider = await startFaultProvider({ accessTokenTtlS: lifetimeMs / 1000 })
    t.after(provider.stop)
    const bench = await createBench(t, store)
    const ids = await connectPeople(bench, provider)
    const families = await familiesOf(bench, provider, ids)
    assert.equal(new Set(families).size, people)

    for (let round = 1; round <= rounds; round += 1) {
      await bench.clock.advance(lifetimeMs - 60_000)
      assert.equal(await bench.upstream.refresh.refreshDue(), people)
    }

    assert.deepEqual(await familiesOf(bench, provider, ids), families)
    const grants = provider.tokenRequests().map(({ grant, outcome }) => `${grant} ${outcome}`)
    const counts = Object.groupBy(grants, (one) => one)
    const lengths = Object.entries(counts).map(([one, all]) => [one, all?.length])
    assert.deepEqual(lengths, [
      ['authorization_code issued', people],
      ['refresh_token issued', people * rounds],
    ])
  },
)

async function connectPeople(bench: Bench, provider: FaultProvider): Promise<readonly string[]> {
  const first = await bench.person('p0')
  const { server, connection } = await bench.connect(first, provider.mcpUrl)
  assert.equal((await signIn(bench, first, connection.id)).kind, 'completed')
  const ids = [connection.id]
  for (let number = 1; number < people; number += 1) {
    const person = await bench.person(`p${number}`)
    const { id } = await bench.connections.create(person.session, { serverId: server.id })
    assert.equal((await signIn(bench, person, id)).kind, 'completed')
    ids.push(id)
  }
  return ids
}

/** Which sign-in at the provider each connection's token goes back to. */
function familiesOf(
  { upstream, tenant }: Bench,
  provider: FaultProvider,
  ids: readonly string[],
): Promise<readonly (string | undefined)[]> {
  const familyOf = async (connectionId: string) => {
    const live = await upstream.refresh.liveToken({ tenant, connectionId })
    assert.ok(live.kind === 'live')
    return provider.familyOf(live.accessToken.reveal())
  }
  return Promise.all(ids.map(familyOf))
}
