// How often a grant is used: every use counts, on every instance, and hardly any of them costs a write.
import assert from 'node:assert/strict'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import type { Database } from '../store/database.ts'
import {
  createMachine,
  createRig,
  createTwins,
  isGood,
  machineForm,
  obtainTokens,
  refreshForm,
  refused,
  register,
  tokens,
} from './issuer.rig.ts'
import type { Rig } from './issuer.rig.ts'
import { createUseNotes } from './use-notes.ts'

const minuteMs = 60_000

const stored = (db: Database) =>
  db
    .selectFrom('grants')
    .select(['first_used_at', 'last_used_at', 'use_count'])
    .executeTakeFirstOrThrow()

async function start(rig: Rig) {
  const session = await rig.signIn()
  const { access } = await obtainTokens(rig, session, await register(rig))
  const begin = rig.clock.now()
  return {
    session,
    access,
    use: async () => assert.equal(await isGood(rig, access), true),
    seen: async () => {
      const { first_used_at: first, last_used_at: last, use_count: count } = await stored(rig.db)
      return [first === null ? undefined : first - begin, (last ?? 0) - begin, count]
    },
  }
}

onEveryDatabase(
  'the first use is written at once, the next ones once a minute',
  async (t, store) => {
    verifies(t, 'S3-48', 'A3-14')
    const rig = await createRig(t, store)
    const { use, seen, session } = await start(rig)
    await rig.clock.advance(1000)
    await use()
    assert.deepEqual(await seen(), [1000, 1000, 1])
    await rig.clock.advance(minuteMs - 1)
    await use()
    assert.deepEqual(await seen(), [1000, 1000, 1], 'the last moment of a minute')
    await rig.clock.advance(1)
    await use()
    assert.deepEqual(await seen(), [1000, 1000 + minuteMs, 3])

    await rig.clock.advance(1)
    await use()
    assert.deepEqual(await seen(), [1000, 1000 + minuteMs, 3])
    await rig.issuer.writeUses()
    await rig.issuer.writeUses()
    assert.deepEqual(await seen(), [1000, 1001 + minuteMs, 4])

    // Whoever looks at their grants sees every use of this instance.
    await use()
    const [grant] = (await rig.issuer.grants.list(session)).items
    assert.equal(grant?.useCount, 5)
    assert.equal(grant?.firstUsedAt, grant.createdAt + 1000)
  },
)

onEveryDatabase('what was never used says so; more tokens are a use', async (t, store) => {
  verifies(t, 'S3-48')
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const client = await register(rig)
  const { refresh } = await obtainTokens(rig, session, client)
  const lastUse = async () => (await rig.issuer.grants.list(session)).items[0]?.lastUsedAt
  const ofClient = async () =>
    (await rig.issuer.clients.get({ tenant: rig.tenant }, client.id)).lastUsedAt
  assert.deepEqual([await lastUse(), await ofClient()], [undefined, undefined])
  await rig.clock.advance(1000)
  await tokens(rig, refreshForm(client, refresh))
  assert.deepEqual([await lastUse(), await ofClient()], [rig.clock.now(), rig.clock.now()])

  const machine = await createMachine(rig)
  const ofMachine = async () =>
    (await rig.issuer.clients.get({ tenant: rig.tenant }, machine.id)).lastUsedAt
  await tokens(rig, machineForm(machine))
  assert.equal(await ofMachine(), undefined)
  await tokens(rig, machineForm(machine))
  assert.equal(await ofMachine(), rig.clock.now())
})

onEveryDatabase(
  'fifty uses at once on two instances are a hundred',
  async (t, store, openAnother) => {
    const [first, second] = await createTwins(t, store, openAnother)
    const { access, use } = await start(first)
    await Promise.all(
      [first, second].flatMap((rig) => Array.from({ length: 50 }, () => isGood(rig, access))),
    )
    await Promise.all([first.issuer.writeUses(), second.issuer.writeUses()])
    assert.equal((await stored(store.db)).use_count, 100)
    await use()
    await first.issuer.writeUses()
    assert.equal((await stored(store.db)).use_count, 101)
  },
)

onEveryDatabase('a use that cannot be written is counted until it can', async (t, store) => {
  const rig = await createRig(t, store)
  const { seen } = await start(rig)
  const { id } = await store.db.selectFrom('grants').select('id').executeTakeFirstOrThrow()
  let isDown = true
  const warnings: string[] = []
  const db = new Proxy(store.db, {
    get: (target, name: keyof Database) => {
      if (isDown && name === 'updateTable') throw new Error('the store is away')
      const part = target[name]
      return typeof part === 'function' ? part.bind(target) : part
    },
  })
  const log = { warn: (_facts: unknown, words: string) => void warnings.push(words) }
  const uses = createUseNotes({ db, clock: rig.clock, log: log as never }) // nothing else of it is used
  const grant = { grant_id: id, first_used_at: null, last_used_at: null }
  await uses.note(rig.tenant, grant)
  await uses.note(rig.tenant, grant)
  assert.deepEqual(warnings, [
    'the use of a grant was not noted',
    'the use of a grant was not noted',
  ])
  isDown = false
  await uses.write()
  assert.deepEqual((await seen())[2], 2)
})

onEveryDatabase('grants come in pages, newest first, and nothing is left out', async (t, store) => {
  verifies(t, 'S3-48')
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const client = await register(rig)
  // Three at one moment: the order of ids decides among them.
  for (let round = 0; round < 3; round += 1) {
    for (let times = 0; times < 3; times += 1) await obtainTokens(rig, session, client)
    await rig.clock.advance(1)
  }
  const { list } = rig.issuer.grants
  const all = (await list(session, { limit: 200 })).items
  const seen: string[] = []
  let cursor: string | undefined
  do {
    const page = await list(session, { limit: 2, ...(cursor === undefined ? {} : { cursor }) })
    seen.push(...page.items.map(({ id }) => id))
    cursor = page.nextCursor
  } while (cursor !== undefined)
  assert.equal(seen.length, 9)
  assert.deepEqual(
    seen,
    all.map(({ id }) => id),
  )
  assert.ok((all[0]?.createdAt ?? 0) > (all[8]?.createdAt ?? 0))
  for (const wrong of ['', '1', '1.x', `1.grt_\0`, 'grt_1']) {
    await refused(list(session, { cursor: wrong }), 'invalid_input')
  }
})
