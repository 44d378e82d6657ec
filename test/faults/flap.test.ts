// a provider says invalid_grant once and means nothing by it. Only the second time, half a minute later, is a
// connection dead, and that is told once.
import assert from 'node:assert/strict'
import { signedIn } from '../../src/connectors/bench.rig.ts'
import type { Bench } from '../../src/connectors/bench.rig.ts'
import type { BadAnswer } from '../fakes/fault-provider.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { tell } from './figures.ts'

const minuteMs = 60_000
const confirmAfterMs = 30_000
const refusal: BadAnswer = { kind: 'oauth-error', error: 'invalid_grant' }

onEveryDatabase('R-08 one spurious invalid_grant ends nothing, two do', async (t, store) => {
  verifies(t, 'R-08')
  const { bench, ada, id, provider, refreshes } = await signedIn(t, store)
  const { clock, connections, upstream } = bench
  const round = () => upstream.refresh.refreshDue()
  const status = async () => (await connections.get(ada.session, id)).status
  provider.set({ answers: { refresh: { ...refusal, times: 1 } } })
  await clock.advance(56 * minuteMs)
  await round()
  assert.equal(refreshes().length, 1)
  const afterOne = await status()
  await clock.advance(confirmAfterMs - 1)
  await round()
  const early = refreshes().length - 1
  await clock.advance(1)
  await round()
  const afterGood = await status()
  const toldOfNothing = await deathsOf(bench)

  provider.set({ answers: { refresh: refusal } })
  await clock.advance(56 * minuteMs)
  await round()
  await clock.advance(confirmAfterMs)
  await round()
  const [afterTwo, told] = [await status(), await deathsOf(bench)]

  const seen = [afterOne, afterGood, afterTwo].join(', ')
  const line = 'connected, connected, reauth_required; asked again after 30 s; told 0 and 1 times'
  const measured = `${seen}; ${early === 0 ? 'asked again after 30 s' : 'asked again too early'}; told ${toldOfNothing} and ${told} times`
  const what = `invalid_grant once, and then twice, ${store.engine}`
  tell({ id: 'R-08', what, measured, line, isKept: measured === line })
})

/** How often the journal, and so a webhook, says that a new sign-in is needed. */
async function deathsOf({ journal, tenant }: Bench): Promise<number> {
  const type = 'connection.refresh_failed'
  const entries = await journal.list({ tenantId: tenant.id, type })
  return entries.filter(({ data }) => data['requiresReauthorization'] === true).length
}
