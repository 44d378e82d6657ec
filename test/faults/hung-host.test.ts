// one provider takes requests and never answers. Whoever is with another one notices nothing of it.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { createBench, signIn } from '../../src/connectors/bench.rig.ts'
import type { Bench } from '../../src/connectors/bench.rig.ts'
import { startFaultProvider } from '../fakes/fault-provider.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { copyConnections } from './copies.ts'
import { roundsOf, tell } from './figures.ts'
import { until } from './setting.ts'

const connections = roundsOf({ few: 40, whole: 200 })
const lineMs = 5_000

onEveryDatabase('R-28 a provider that hangs holds up nobody at another one', async (t, store) => {
  verifies(t, 'R-28')
  const bench = await createBench(t, store)
  const hung = await connectMany(t, bench, 'ada')
  const well = await connectMany(t, bench, 'bob')
  hung.provider.set({ answers: { refresh: { kind: 'hang' } } })
  // The hung ones are the most overdue, so that they are first in every list.
  await bench.clock.advance(56 * 60_000)
  await store.db
    .updateTable('credentials')
    .set({ next_refresh_at: 1 })
    .where('connection_id', 'in', hung.ids)
    .execute()

  const startedAt = performance.now()
  // As the housekeeping does, round after round.
  const housekeeping = new AbortController()
  const { signal } = housekeeping
  const rounds = (async () => {
    while (!signal.aborted) await bench.upstream.refresh.refreshDue()
  })()
  const fresh = async () => {
    const rows = await store.db
      .selectFrom('credentials')
      .select('connection_id')
      .where('connection_id', 'in', well.ids)
      .where('refresh_count', '=', 1)
      .execute()
    return rows.length
  }
  const limitMs = 20 * lineMs
  await until('the others are fresh', async () => (await fresh()) === well.ids.length, { limitMs })
  const tookMs = Math.round(performance.now() - startedAt)
  await hung.provider.stop()
  housekeeping.abort()
  await rounds
  tell({
    id: 'R-28',
    what: `${connections} due at a provider that hangs, ${connections} at another, ${store.engine}`,
    measured: `the others fresh after ${tookMs} ms`,
    line: `within ${lineMs} ms`,
    isKept: tookMs <= lineMs,
  })
})

async function connectMany(t: TestContext, bench: Bench, name: string) {
  const provider = await startFaultProvider()
  t.after(provider.stop)
  const person = await bench.person(name)
  const { connection } = await bench.connect(person, provider.mcpUrl)
  assert.equal((await signIn(bench, person, connection.id)).kind, 'completed')
  const { db, upstream, clock } = bench
  const sample = { db, vault: upstream.vault, provider, id: connection.id, now: clock.now() }
  return { provider, ids: await copyConnections(sample, connections) }
}
