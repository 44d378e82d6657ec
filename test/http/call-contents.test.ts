// What people and their tools say to one another, for a tenant that keeps it: sealed, beside the journal and never in it, as
// long as the tenant wants, and for nobody whose business it is not.
import assert from 'node:assert/strict'
import { test } from 'node:test'
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
import { addPerson, addServer, assertAnswer, callAs, openDoors, openDoorsOn } from './doors.ts'
import type { Answer, Call, Doors } from './doors.ts'
import { authorizePath, obtainTokens, register } from './oauth-client.ts'

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
    assert.match(metrics.text, /table="call_contents"/)
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

onEveryDatabase(
  'its person and the administrators read it, and the journal says who did',
  async (t, store) => {
    verifies(t, 'S4-36', 'S4-45', 'P-113')
    const world = await openCalls(t, store)
    const { ada, browser, clock, keepFor, written, origin } = world
    const people: Record<string, Person> = {}
    for (const name of ['eve', 'bob']) {
      const id = await addPerson(world, `${name}@example.com`)
      const theirs = await signIn(origin, { ...operator, email: `${name}@example.com` })
      people[name] = { id, browser: theirs, call: callAs(world, theirs) }
    }
    const { eve, bob } = people
    assert.ok(eve !== undefined && bob !== undefined)
    await keepFor(30)
    await (await world.callerFor(eve.browser)).notes('search')
    await written()
    await (await world.callerFor(browser)).all('whoami')
    await written()

    const listed = async (who: Call, query = '') => {
      const answer = await who('GET', `/call-contents${query}`)
      assertAnswer(answer, { status: 200, neverSays: [asked, answered] })
      return answer.json.items.map(({ tool }: { tool: string }) => tool)
    }
    assert.deepEqual(await listed(ada), ['whoami', 'search'])
    assert.deepEqual(await listed(ada, `?userId=${eve.id}`), ['search'])
    assert.deepEqual(await listed(ada, '?userId=%00'), [])
    assert.deepEqual(await listed(eve.call), ['search'])
    assert.deepEqual(await listed(bob.call), [])
    assert.deepEqual(await listed(bob.call, `?userId=${eve.id}`), [])
    const first = (await ada('GET', '/call-contents?limit=1')).json
    const second = (await ada('GET', `/call-contents?limit=1&cursor=${first.nextCursor}`)).json
    assert.deepEqual(
      [first, second].flatMap(({ items }) => items.map(({ tool }: { tool: string }) => tool)),
      ['whoami', 'search'],
    )
    assert.equal(second.nextCursor, undefined)

    const [{ id }] = second.items
    const notFound = { status: 404, error: 'not_found' }
    assertAnswer(await bob.call('GET', `/call-contents/${id}`), notFound)
    assertAnswer(await ada('GET', `/call-contents/${id.slice(0, -1)}`), notFound)
    assertAnswer(await world.ask({ path: `/api/v1/call-contents/${id}` }), { status: 401 })
    for (const who of [eve.call, ada]) {
      const { json } = await who('GET', `/call-contents/${id}`)
      assert.deepEqual(JSON.parse(json.input), { name: 'search', arguments: { words: asked } })
      assert.match(
        json.output,
        /^\{"result":\{"content":\[\{"type":"text","text":"private answer x/,
      )
      assert.deepEqual(
        [json.userId, json.server, json.status, json.inputIsCut, json.outputIsCut],
        [eve.id, 'notes', 200, false, true],
      )
    }
    const reading = (await ada('GET', '/journal')).json.items.filter(
      ({ type }: { type: string }) => type === 'call.content_read',
    )
    assert.deepEqual(
      reading.map((entry: Read) => [entry.actor.id, entry.userId, entry.subject, entry.data]),
      [eve.id, first.items[0].userId].map((reader) => [
        reader,
        eve.id,
        { kind: 'call_content', id },
        { server: 'notes', method: 'tools/call', tool: 'search' },
      ]),
    )

    await t.test('nobody reads what another tenant keeps, and no row opens elsewhere', async () => {
      const acme = { slug: 'acme-co', issuer: 'https://acme.test', callContentDays: 30 }
      const made = await ada('POST', '/tenants', acme)
      const [row] = await world.rows()
      assert.ok(row !== undefined)
      const theirs = { ...row, tenant_id: made.json.id, user_id: null, id: `cnt_${'t'.repeat(26)}` }
      const moved = { ...row, id: `cnt_${'m'.repeat(26)}` }
      await store.db.insertInto('call_contents').values([theirs, moved]).execute()
      assert.deepEqual(await listed(ada), ['whoami', 'search', 'search'])
      assertAnswer(await ada('GET', `/call-contents/${theirs.id}`), notFound)
      const closed = await ada('GET', `/call-contents/${moved.id}`)
      assertAnswer(closed, { status: 500, error: 'internal', neverSays: [asked, answered] })
      await store.db.deleteFrom('call_contents').where('id', '=', moved.id).execute()
    })

    await t.test('what is past its days is not read, swept or not', async () => {
      const row = (await world.rows()).find((one) => one.id === id)
      const at = row?.created_at ?? 0
      const set = (created_at: number) =>
        store.db.updateTable('call_contents').set({ created_at }).where('id', '=', id).execute()
      const over = clock.now() - 30 * dayMs
      await set(over + 60_000)
      assertAnswer(await eve.call('GET', `/call-contents/${id}`), { status: 200 })
      await set(over)
      assertAnswer(await eve.call('GET', `/call-contents/${id}`), notFound)
      assert.deepEqual(await listed(eve.call), [])
      await set(at)
      await store.db.updateTable('tenants').set({ call_content_days: null }).execute()
      assertAnswer(await ada('GET', `/call-contents/${id}`), notFound)
      assert.deepEqual(await listed(ada), [])
    })
  },
)

test('where it is kept a person is told before they let anybody in, and afterwards', async (t) => {
  verifies(t, 'S4-36')
  const doors = await openDoors(t)
  const { origin, store } = doors
  const browser = await signIn(origin)
  const client = await register(doors)
  const { json: device } = await doors.ask({
    path: '/oauth/register',
    json: { client_name: 'TV', token_endpoint_auth_method: 'none', grant_types: [deviceGrant] },
  })
  const pages = async (): Promise<readonly string[]> => {
    const consent = await browser.open(origin + authorizePath(client, { prompt: 'consent' }))
    const form = { client_id: device.client_id }
    const { json } = await doors.ask({ path: '/oauth/device_authorization', form })
    await browser.open(`${origin}/device`)
    const question = await browser.submit({ fields: { user_code: json.user_code } })
    const apps = await browser.open(`${origin}/console/apps`)
    return [consent, question, apps].map(({ html }) => html.replaceAll(/\s+/g, ' '))
  }
  const before = await pages()
  assert.match(before[0] ?? '', /Let .* in\?/)
  assert.match(before[1] ?? '', /Let .*TV.* in\?/)
  for (const html of before) assert.doesNotMatch(html, /is kept for/)

  for (const [days, words] of [
    [1, '1 day'],
    [30, '30 days'],
  ] as const) {
    await store.db.updateTable('tenants').set({ call_content_days: days, name: 'A<b>' }).execute()
    const said = `is kept for ${words}. You and the administrators of <bdi>A&lt;b&gt;</bdi> can read it.`
    for (const html of await pages()) assert.ok(html.includes(said), html)
  }
})

const deviceGrant = 'urn:ietf:params:oauth:grant-type:device_code'

interface Person {
  readonly id: string
  readonly browser: CookieBrowser
  readonly call: Call
}

interface Read {
  readonly actor: { readonly id: string }
  readonly userId: string
  readonly subject: unknown
  readonly data: unknown
}
