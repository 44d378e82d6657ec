// A process that ends in the middle of a refresh: what the provider gave is there at the next start.
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import type { ManualClock } from '../../src/base/clock.ts'
import { startGate } from '../../src/connectors/bench.rig.ts'
import type { Store } from '../../src/store/database.ts'
import { restAs, restWithKey, signIn, startTestPlatform } from '../harness.ts'
import type { FaultProvider } from '../fakes/fault-provider.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { refuseTokens } from '../refusing-database.ts'
import { verifies } from '../requirements.ts'
import { until } from '../until.ts'

/** A data folder that outlives the processes, and a person who is connected through the first of them. */
async function start(t: TestContext, store: Store) {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-stop-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const clock = createManualClock(Date.now())
  const gate = await startGate(t, 'refresh_token')
  const first = await startProcess(t, store, { clock, folder })
  const browser = await signIn(first.origin)
  const rest = restAs(browser, first.origin)
  const { body: server } = await rest('POST', '/servers', { url: gate.provider.mcpUrl })
  const { body: connection } = await rest('POST', '/connections', { serverId: server.id })
  const { body: begun } = await rest('POST', `/connections/${connection.id}/authorize`, {})
  await browser.open(begun.authorizeUrl)
  const scopes = ['connections:token']
  const { body: key } = await rest('POST', '/api-keys', { name: 'back end', scopes })
  const tokenOf = (origin: string) =>
    restWithKey(key.key, origin)('POST', `/connections/${connection.id}/token`)
  return { ...gate, clock, folder, first, tokenOf }
}

function startProcess(
  t: TestContext,
  store: Store,
  { clock, folder }: { readonly clock: ManualClock; readonly folder: string },
) {
  return startTestPlatform(t, store, { clock, settings: { LATCHKEY_DATA: folder } })
}

function filesIn(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder) : []
}

function newestOf({ issued }: Pick<FaultProvider, 'issued'>): string | undefined {
  return issued().findLast((value) => value.startsWith('access-'))
}

onEveryDatabase(
  'what the database does not take before a stop is taken up by the next start',
  async (t, store) => {
    verifies(t, '§2b-5')
    const { provider, clock, folder, first, tokenOf } = await start(t, store)
    const repair = await refuseTokens(store)
    await clock.advance(57 * 60_000)
    const asked = tokenOf(first.origin).catch(() => undefined)
    const spool = join(folder, 'spool')
    await until(() => filesIn(spool).length === 1)
    await first.platform.close()
    assert.notEqual((await asked)?.status, 200)
    assert.equal(filesIn(spool).length, 1)

    await repair()
    const next = await startProcess(t, store, { clock, folder })
    assert.deepEqual(filesIn(spool), [])
    const { body } = await tokenOf(next.origin)
    assert.equal(body.accessToken, newestOf(provider))
    assert.equal(provider.tokenRequests().length, 2, 'the provider was asked once')
    next.alsoSecret(provider.issued())
  },
)

onEveryDatabase('a stop waits for the refresh that is under way', async (t, store) => {
  verifies(t, '§2b-8')
  const { provider, clock, folder, first, tokenOf, holdNext, arrival, open } = await start(t, store)
  await clock.advance(57 * 60_000)
  holdNext()
  const asked = tokenOf(first.origin).catch(() => undefined)
  await arrival
  const closing = first.platform.close()
  assert.equal(await asked, undefined, 'the caller is let go, the refresh is not')
  for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  open()
  await closing

  const next = await startProcess(t, store, { clock, folder })
  const { body } = await tokenOf(next.origin)
  assert.equal(body.accessToken, newestOf(provider))
  assert.equal(provider.tokenRequests().length, 2, 'the provider was asked once')
  next.alsoSecret(provider.issued())
})
