// What people and their tools say to one another, for a tenant that keeps it: sealed, beside the journal and never in it, as
// long as the tenant wants, and for nobody whose business it is not.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { sql } from 'kysely'
import { createManualClock } from '../../src/base/clock.ts'
import { sweepContents } from '../../src/journal/call-contents.ts'
import { startReceiver } from '../../src/journal/webhook.rig.ts'
import type { Store } from '../../src/store/database.ts'
import { listTables } from '../../src/store/migration-steps.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { listenOnLoopback } from '../counterparts/loopback.ts'
import { operator, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { addPerson, addServer, assertAnswer, callAs, openDoorsOn } from './doors.ts'
import type { Answer, Doors } from './doors.ts'
import { obtainTokens, register } from './oauth-client.ts'

const dayMs = 86_400_000
const asked = 'private question'
const answered = 'private answer'

/** A platform whose time is turned by hand, with a server that answers in JSON, or in a stream where it is asked to. */
async function openCalls(t: TestContext, store: Store) {
  const clock = createManualClock(Date.now())
  const doors = await openDoorsOn(t, store, { clock })
  const upstream = await startServer(t)
  const browser = await signIn(doors.origin)
  await addServer(doors, browser, { url: upstream, slug: 'notes' })
  const ada = callAs(doors, browser)
  const tenantId = doors.platform.tenant.id
  let made = 0
  return {
    ...doors,
    clock,
    browser,
    ada,
    upstream,
    keepFor: async (callContentDays: number | null) => {
      const changed = await ada('PATCH', `/tenants/${tenantId}`, { callContentDays })
      assertAnswer(changed, { status: 200 })
    },
    /** What a person calls by: a tool, at `/notes/mcp` or at `/mcp`. */
    callerFor: (who: CookieBrowser) => callerFor(doors, who, () => (made += 1)),
    /** Calls are written a moment after their answer. */
    written: async () => {
      for (let turn = 0; (await entriesIn(store)) < made; turn += 1) {
        assert.ok(turn < 1_000, 'the calls are not in the journal')
        await clock.advance(60)
        await new Promise((go) => setTimeout(go, 1))
      }
    },
    rows: () => store.db.selectFrom('call_contents').selectAll().orderBy('created_at').execute(),
  }
}

async function startServer(t: TestContext): Promise<string> {
  const { origin, stop } = await listenOnLoopback(() => (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { id = null, params } = JSON.parse(Buffer.concat(chunks).toString() || '{}')
      const result = { content: [{ type: 'text', text: `${answered} ${'x'.repeat(70_000)}` }] }
      const text = JSON.stringify({ jsonrpc: '2.0', id, result })
      const isStream = params?.arguments?.stream === true
      const type = isStream ? 'text/event-stream' : 'application/json'
      response.writeHead(200, { 'content-type': type })
      response.end(isStream ? `event: message\ndata: ${text}\n\n` : text)
    })
  })
  t.after(stop)
  return `${origin}/mcp`
}

async function entriesIn({ db }: Store): Promise<number> {
  const { count } = await db
    .selectFrom('journal_entries')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('type', 'in', ['call.completed', 'call.refused'])
    .executeTakeFirstOrThrow()
  return count
}

async function callerFor(doors: Doors, browser: CookieBrowser, called: () => void) {
  const client = await register(doors)
  const at = async (path: string) => {
    const resource = `${doors.origin}${path}`
    const { accessToken } = await obtainTokens(doors, browser, client, { resource })
    return (name: string, args: object = {}): Promise<Answer> => {
      called()
      return doors.ask({
        path,
        headers: {
          authorization: `Bearer ${accessToken}`,
          accept: 'application/json, text/event-stream',
        },
        json: {
          jsonrpc: '2.0',
          id: 1,
          method: 'tools/call',
          params: { name, arguments: { ...args, words: asked } },
        },
      })
    }
  }
  const calls = { notes: await at('/notes/mcp'), all: await at('/mcp') }
  browser.setStopAt(() => false)
  return calls
}

/** Every row of every table, as text. */
async function everything(store: Store): Promise<string> {
  const { db } = store
  const rows: unknown[] = []
  for (const table of await listTables(store)) {
    rows.push((await sql`select * from ${sql.table(table)}`.execute(db)).rows)
  }
  return JSON.stringify(rows)
}

onEveryDatabase(
  'what is said is sealed, and is nowhere else: not in the journal, the feed or a webhook',
  async (t, store) => {
    verifies(t, 'S4-36')
    const world = await openCalls(t, store)
    const { ada, keepFor, written, rows, browser } = world
    const receiver = await startReceiver(t)
    const hook = { url: receiver.url, eventTypes: ['*'] }
    assertAnswer(await ada('POST', '/webhooks', hook), { status: 201 })
    const { notes, all } = await world.callerFor(browser)
    assertAnswer(await notes('search'), { status: 200 })
    await written()
    assert.deepEqual(await rows(), [], 'off is how it begins')

    await keepFor(30)
    for (const call of [
      () => notes('search'),
      () => notes('slow', { stream: true }),
      () => all('whoami'),
      () => all('mcp__notes__search'),
    ]) {
      assertAnswer(await call(), { status: 200 })
      await written()
    }
    const kept = await rows()
    const user = kept[0]?.user_id
    assert.match(user ?? '', /^usr_/)
    assert.deepEqual(
      kept.map(({ server, tool, user_id, input_cut, output_cut }) => [
        server,
        tool,
        user_id,
        input_cut,
        output_cut,
      ]),
      [
        ['notes', 'search', user, 0, 1],
        ['notes', 'slow', user, 0, 1],
        ['mcp', 'whoami', user, 0, 0],
        ['notes', 'search', user, 0, 1],
      ],
    )
    for (const { input_sealed: input, output_sealed: output } of kept) {
      assert.match(input, /^v1\./)
      assert.match(output ?? '', /^v1\./)
    }
    const stored = await everything(store)
    assert.ok(stored.includes(kept[0]?.id ?? '-'))
    assert.doesNotMatch(stored, /private (?:question|answer)/)

    const { json } = await ada('GET', '/journal')
    const items: readonly { type: string; data: { contentId?: string } }[] = json.items
    const ids = items.flatMap(({ type, data }) =>
      type === 'call.completed' ? [data.contentId] : [],
    )
    assert.deepEqual(ids, [undefined, ...kept.map(({ id }) => id)])
    const metrics = await world.ask({ path: '/metrics', browser })
    assert.doesNotMatch(metrics.text, /private/)
    for (let turn = 0; turn < 200 && !tellsOf(receiver.received, ids.at(-1)); turn += 1) {
      await world.clock.advance(1_000)
      await new Promise((go) => setTimeout(go, 10))
    }
    assert.ok(tellsOf(receiver.received, ids.at(-1)), 'the webhook was told of the call')
    assert.doesNotMatch(JSON.stringify(receiver.received), /private (?:question|answer)/)
  },
)

function tellsOf(received: readonly { readonly body: string }[], id: string | undefined): boolean {
  return id !== undefined && received.some(({ body }) => body.includes(id))
}

onEveryDatabase('fifty calls at once are all kept', async (t, store) => {
  verifies(t, 'S4-36')
  const { browser, callerFor: caller, keepFor, written, rows } = await openCalls(t, store)
  await keepFor(1)
  const { notes, all } = await caller(browser)
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, index) => (index % 2 === 0 ? notes('search') : all('whoami'))),
  )
  assert.ok(answers.every(({ status }) => status === 200))
  await written()
  const kept = await rows()
  assert.equal(kept.length, 50)
  assert.equal(new Set(kept.map(({ id }) => id)).size, 50)
})

onEveryDatabase(
  'it goes after its days, with its person, and all of it when the tenant keeps nothing any more',
  async (t, store) => {
    verifies(t, 'S4-36')
    const { clock, keepFor, written, rows, browser, ...world } = await openCalls(t, store)
    const eveId = await addPerson(world, 'eve@example.com')
    const eve = await signIn(world.origin, { ...operator, email: 'eve@example.com' })
    await keepFor(2)
    const { notes } = await world.callerFor(browser)
    await notes('first')
    await written()
    const at = (await rows())[0]?.created_at ?? assert.fail()
    const toolsAt = async (time: number) => {
      await sweepContents(store.db, time)
      return (await rows()).map(({ tool }) => tool)
    }
    assert.deepEqual(await toolsAt(at + 2 * dayMs - 1), ['first'])
    assert.deepEqual(await toolsAt(at + 2 * dayMs), [])

    await notes('second')
    await (await world.callerFor(eve)).notes('third')
    await written()
    await keepFor(1)
    assert.deepEqual(await toolsAt(clock.now()), ['second', 'third'])
    await store.db.deleteFrom('users').where('id', '=', eveId).execute()
    assert.deepEqual(await toolsAt(clock.now()), ['second'])
    assert.deepEqual(await toolsAt(clock.now() + dayMs), [], 'the newer setting holds')

    await notes('fourth')
    await written()
    // This one is on its way while the setting is taken back.
    const late = notes('fifth')
    await keepFor(null)
    assert.deepEqual(await rows(), [])
    await late
    await written()
    await notes('sixth')
    await written()
    assert.deepEqual(await rows(), [])
  },
)

onEveryDatabase(
  'what was written as the setting ended goes with the next sweep',
  async (t, store) => {
    verifies(t, 'S4-36')
    const { keepFor, written, rows, browser, callerFor: caller, clock } = await openCalls(t, store)
    await keepFor(90)
    await (await caller(browser)).notes('search')
    await written()
    await store.db.updateTable('tenants').set({ call_content_days: null }).execute()
    assert.equal((await rows()).length, 1)
    assert.deepEqual(await sweepContents(store.db, clock.now()), { callContents: 1 })
    assert.deepEqual(await rows(), [])
  },
)
