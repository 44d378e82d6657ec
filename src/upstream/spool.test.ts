// What a provider gave is not lost with a database that does not take it: it is on disk before it is tried again.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { startFaultProvider } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { refuseTokens } from '../../test/refusing-database.ts'
import { verifies } from '../../test/requirements.ts'
import { until } from '../../test/until.ts'
import { createManualClock } from '../base/clock.ts'
import { createLog } from '../base/log.ts'
import { createBench, signIn, turning } from '../connectors/bench.rig.ts'
import type { Bench } from '../connectors/bench.rig.ts'
import type { Store } from '../store/database.ts'

const minuteMs = 60_000

/** Ada, signed in at a provider that punishes reuse, with a folder for what the database does not take. */
async function start(t: TestContext, store: Store) {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-spool-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const spoolFolder = join(folder, 'data', 'spool')
  const provider = await startFaultProvider({ rotation: 'strict' })
  t.after(provider.stop)
  const lines: string[] = []
  const log = createLog('debug', (line) => void lines.push(line))
  const shared = {
    masterKey: randomBytes(32),
    clock: createManualClock(Date.now()),
    spoolFolder,
    log,
  }
  const bench = await createBench(t, store, shared)
  const ada = await bench.person('ada')
  const { connection } = await bench.connect(ada, provider.mcpUrl)
  await signIn(bench, ada, connection.id)
  const { id } = connection
  const live = (of: Bench = bench, more = {}) =>
    of.upstream.refresh.liveToken({ tenant: bench.tenant, connectionId: id, ...more })
  return {
    provider,
    bench,
    ada,
    id,
    spoolFolder,
    live,
    said: () => lines.join(''),
    restart: (more = {}) => createBench(t, store, { ...shared, ...more }),
    files: () => (existsSync(spoolFolder) ? readdirSync(spoolFolder) : []),
    refreshes: () => provider.tokenRequests().length - 1,
    newest: () => provider.issued().findLast((value) => value.startsWith('access-')) ?? '',
  }
}

onEveryDatabase(
  'tokens that the database does not take are sealed on disk until it does',
  async (t, store) => {
    verifies(t, '§2b-5')
    const { bench, live, files, spoolFolder, provider, newest, refreshes } = await start(t, store)
    await live()
    assert.deepEqual(files(), [], 'nothing is on disk that the database has')
    const repair = await refuseTokens(store)
    await bench.clock.advance(56 * minuteMs)
    const refreshing = live()
    await until(() => files().length === 1)
    const file = join(spoolFolder, files()[0] ?? '')
    assert.equal(statSync(file).mode & 0o777, 0o600)
    const text = readFileSync(file, 'utf8')
    for (const secret of provider.issued()) assert.ok(!text.includes(secret))

    await repair()
    const given = await turning(bench, refreshing)
    assert.ok(given.kind === 'live' && given.accessToken.reveal() === newest())
    assert.deepEqual(files(), [])
    assert.equal(refreshes(), 1)
  },
)

onEveryDatabase(
  'a process that ends meanwhile loses nothing: the next start takes it up and asks nobody',
  async (t, store) => {
    verifies(t, '§2b-5')
    const { bench, ada, id, live, files, restart, newest, refreshes } = await start(t, store)
    const repair = await refuseTokens(store)
    await bench.clock.advance(61 * minuteMs)
    await assert.rejects(turning(bench, live()), /the disk is full/)
    assert.equal(files().length, 1)

    await repair()
    const next = await restart()
    assert.equal(await next.upstream.refresh.takeUp(), 1)
    const given = await live(next)
    assert.ok(given.kind === 'live' && given.accessToken.reveal() === newest())
    assert.deepEqual(files(), [])
    assert.equal(refreshes(), 1)
    assert.equal((await next.connections.get(ada.session, id)).refreshCount, 1)
    assert.equal(await next.upstream.refresh.takeUp(), 0)
  },
)

onEveryDatabase(
  'a process that lives on takes it up itself before it asks the provider',
  async (t, store) => {
    verifies(t, '§2b-5')
    const { bench, live, files, newest, refreshes } = await start(t, store)
    const repair = await refuseTokens(store)
    await bench.clock.advance(61 * minuteMs)
    await assert.rejects(turning(bench, live()), /the disk is full/)
    await repair()
    const given = await live()
    assert.ok(given.kind === 'live' && given.accessToken.reveal() === newest())
    assert.deepEqual(files(), [])

    const again = await refuseTokens(store)
    await bench.clock.advance(61 * minuteMs)
    await assert.rejects(turning(bench, live()), /the disk is full/)
    await again()
    await bench.upstream.refresh.refreshDue()
    assert.deepEqual(files(), [])
    assert.equal(refreshes(), 2)
    assert.equal((await live()).kind, 'live')
  },
)

onEveryDatabase(
  'what was sealed under another key stays where it is, and the log says so once',
  async (t, store) => {
    verifies(t, '§2b-5')
    const { bench, live, files, restart, said, spoolFolder, refreshes } = await start(t, store)
    const repair = await refuseTokens(store)
    await bench.clock.advance(61 * minuteMs)
    await assert.rejects(turning(bench, live()), /the disk is full/)
    await repair()
    writeFileSync(join(spoolFolder, 'notes.txt'), 'somebody else’s')
    writeFileSync(join(spoolFolder, `${'0'.repeat(64)}.sealed`), '{"half": ')

    const stranger = await restart({ masterKey: randomBytes(32) })
    assert.equal(await stranger.upstream.refresh.takeUp(), 0)
    assert.equal(await stranger.upstream.refresh.takeUp(), 0)
    assert.equal(files().length, 3)
    assert.equal(said().match(/"refreshed tokens on disk cannot be opened"/g)?.length, 2)

    const own = await restart()
    assert.equal(await own.upstream.refresh.takeUp(), 1)
    assert.equal(files().length, 2)
    assert.equal((await live(own)).kind, 'live')
    assert.equal(refreshes(), 1)
  },
)

onEveryDatabase(
  'tokens on disk for a connection that was ended meanwhile are given back',
  async (t, store) => {
    verifies(t, '§2b-5', 'S1-66')
    const { bench, ada, id, live, files, newest, provider, restart } = await start(t, store)
    const repair = await refuseTokens(store)
    await bench.clock.advance(61 * minuteMs)
    await assert.rejects(turning(bench, live()), /the disk is full/)
    await repair()
    provider.set({ answers: { revoke: { kind: 'status', status: 503, times: 2 } } })
    await bench.connections.revoke(ada.session, id)
    assert.ok(provider.isLive(newest()))
    const next = await restart()
    assert.equal(await next.upstream.refresh.takeUp(), 1)
    assert.equal(provider.isLive(newest()), false)
    assert.deepEqual(files(), [])
  },
)

onEveryDatabase('tokens on disk that a new sign-in replaced are thrown away', async (t, store) => {
  verifies(t, '§2b-5')
  const { bench, ada, id, live, files, newest, restart } = await start(t, store)
  const repair = await refuseTokens(store)
  await bench.clock.advance(61 * minuteMs)
  await assert.rejects(turning(bench, live()), /the disk is full/)
  await repair()
  await bench.connections.revoke(ada.session, id)
  await signIn(bench, ada, id)
  const signedInWith = newest()
  const next = await restart()
  await next.upstream.refresh.takeUp()
  assert.deepEqual(files(), [])
  const given = await live(next)
  assert.ok(given.kind === 'live' && given.accessToken.reveal() === signedInWith)
})

onEveryDatabase(
  'a folder that cannot be written is said in the log, and the tokens wait in memory',
  async (t, store) => {
    verifies(t, '§2b-5')
    const { bench, live, newest, restart, said, spoolFolder } = await start(t, store)
    const blocked = join(spoolFolder, '..', '..', 'a-file')
    writeFileSync(blocked, '')
    const other = await restart({ spoolFolder: join(blocked, 'spool') })
    const repair = await refuseTokens(store)
    await bench.clock.advance(56 * minuteMs)
    const refreshing = live(other)
    await until(() => said().includes('cannot be kept on disk either'))
    await repair()
    const given = await turning(other, refreshing)
    assert.ok(given.kind === 'live' && given.accessToken.reveal() === newest())
  },
)
