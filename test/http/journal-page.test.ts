// The page of the journal: what is on it, what a search finds, what a file holds, and whether anybody changed it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { csvCell, exportTexts } from '../../src/http/pages/journal-export.ts'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import { operator, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { addPerson, assertAnswer, callAs, openDoors, openDoorsOn } from './doors.ts'
import { obtainTokens, register } from './oauth-client.ts'

onEveryDatabase('an administrator searches the journal and takes it along', async (t, store) => {
  verifies(t, 'S4-36')
  const doors = await openDoorsOn(t, store)
  const browser = await signIn(doors.origin)
  const name = '<b>Notes</b>'
  const server = { url: 'https://notes.test/mcp', slug: 'notes', name, auth: 'none' }
  assertAnswer(await callAs(doors, browser)('POST', '/servers', server), { status: 201 })
  const at = '/console/journal'
  const shown = async (query = '') => (await doors.ask({ path: at + query, browser })).text

  const all = await shown()
  assert.match(all, /<strong>Server added<\/strong> · <bdi>&lt;b&gt;Notes&lt;\/b&gt;<\/bdi>/)
  assert.ok(all.indexOf('<strong>Server added') < all.indexOf('<strong>Signed in'), 'newest first')
  assert.ok(!all.includes(name))
  for (const query of ['?kind=server', '?kind=server.created', '?thing=notes']) {
    const found = await shown(query)
    assert.match(found, /<strong>Server added/, query)
    assert.doesNotMatch(found, /<strong>Signed in/, query)
  }
  const mine = await shown(`?person=${operator.email}&kind=user.signed_in`)
  assert.match(mine, /<strong>Signed in/)
  assert.match(mine, new RegExp(`name="person" value="${operator.email}"`))
  assert.match(mine, /<option value="user.signed_in" selected>/)
  assert.match(await shown('?until=2001-01-01'), /Nothing like this was found/)

  const file = await doors.ask({ path: `${at}/export?format=ndjson&kind=server`, browser })
  assertAnswer(file, {
    status: 200,
    has: {
      'content-type': 'application/x-ndjson',
      'content-disposition': 'attachment; filename="journal.ndjson"',
      'cache-control': 'no-store',
    },
  })
  const [line = '', ...rest] = file.text.split('\n')
  assert.deepEqual(rest, [''])
  const entry = JSON.parse(line)
  assert.deepEqual([entry.type, entry.data.slug], ['server.created', 'notes'])
  const table = await doors.ask({ path: `${at}/export?format=csv&kind=server`, browser })
  assert.match(
    table.text,
    /^"seq","time",.*\r\n"\d+","[^"]+","server.created","Server added",.*\r\n$/,
  )
  const head = await doors.ask({ method: 'HEAD', path: `${at}/export?format=csv`, browser })
  assert.deepEqual([head.status, head.text], [200, ''])
})

test('a search for what cannot be says so and keeps what was typed', async (t) => {
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  for (const [query, words] of [
    ['kind=weather', /no such kind/],
    ['person=%00', /in one line/],
    [`thing=${'x'.repeat(2_049)}`, /in one line/],
    ['from=2026-02-31', /Write a day/],
    ['until=tomorrow', /Write a day/],
    ['from=2026-02-02&until=2026-02-01', /comes after the last/],
  ] as const) {
    const answer = await doors.ask({ path: `/console/journal?${query}`, browser })
    assertAnswer(answer, { status: 422, says: words })
    const file = await doors.ask({ path: `/console/journal/export?format=csv&${query}`, browser })
    assertAnswer(file, { status: 422 })
  }
  const kept = await doors.ask({ path: '/console/journal?until=tomorrow&person=ada', browser })
  assertAnswer(kept, { status: 422, says: /name="person" value="ada"/ })
  const odd = await doors.ask({ path: '/console/journal/export?format=pdf', browser })
  assertAnswer(odd, { status: 422 })
})

onEveryDatabase('the journal says whether anybody changed it', async (t, store) => {
  const doors = await openDoorsOn(t, store)
  const browser = await signIn(doors.origin)
  const at = `${doors.origin}/console/journal`
  await browser.open(at)
  const whole = await browser.submit({ button: 'Check the journal' })
  assert.match(whole.html, /The journal is whole. Entries checked: \d+/)
  await store.db
    .updateTable('journal_entries')
    .set({ data: '{"role":"user"}' })
    .where('type', '=', 'user.created')
    .execute()
  await browser.open(at)
  const broken = await browser.submit({ button: 'Check the journal' })
  assert.match(broken.html, /The first entry that does not hold is number \d+/)
})

test('the journal is for administrators, and leads back to a search after signing in', async (t) => {
  const doors = await openDoors(t)
  await addPerson(doors, 'eve@example.com')
  const eve = await signIn(doors.origin, { ...operator, email: 'eve@example.com' })
  for (const path of ['/console/journal', '/console/journal/export?format=csv']) {
    assertAnswer(await doors.ask({ path, browser: eve }), { status: 403 })
    const nobody = await doors.ask({ path, browser: createCookieBrowser() })
    const location = `/sign-in?next=${encodeURIComponent(path)}`
    assertAnswer(nobody, { status: 302, has: { location } })
  }
})

test('no cell of a file is a formula', () => {
  for (const text of ['=1+1', '+1', '-1', '@x', '\tx', '\rx']) {
    assert.equal(csvCell(text), `"'${text}"`)
  }
  assert.equal(csvCell('a "b", c'), '"a ""b"", c"')
  assert.equal(csvCell('a=1'), '"a=1"')
  assert.equal(csvCell(''), '""')
})

test('a file of calls holds nothing of the token they were made with', async (t) => {
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  const client = await register(doors)
  const { accessToken, refreshToken } = await obtainTokens(doors, browser, client)
  for (const format of ['csv', 'ndjson']) {
    const path = `/console/journal/export?format=${format}`
    const { text } = await doors.ask({ path, browser })
    assert.match(text, /token.issued/)
    assert.ok(!text.includes(accessToken) && !text.includes(refreshToken))
  }
})

test('a file that ends early says where the next one goes on', async () => {
  const entry = { tenantId: 'x', id: 'evt_1', seq: 1, at: 5_000, type: 'token.issued' } as const
  const found = { ...entry, actor: { kind: 'system' }, data: {} } as const
  const texts = exportTexts(
    {
      searchJournal: async () => ({ items: [found], names: new Map(), nextCursor: '5000.evt_1' }),
      tenantId: 'x',
      asked: {},
      format: 'csv',
    },
    { most: 2 },
  )
  let file = ''
  for await (const text of texts) file += text
  const lines = file.trimEnd().split('\r\n')
  assert.equal(lines.length, 1 + 2 + 1)
  assert.match(lines[3] ?? '', /^"There is more\. .* 1970-01-01T00:00:05\.000Z"$/)
})

test('a page full of long facts is light all the same', async (t) => {
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  const { db } = doors.store
  const tenant = await db.selectFrom('tenants').select('id').executeTakeFirstOrThrow()
  await register(doors)
  const known = await db
    .selectFrom('journal_entries')
    .selectAll()
    .where('type', '=', 'client.registered')
    .executeTakeFirstOrThrow()
  for (let count = 0; count < 30; count += 1) {
    const id = `evt_long${count}`
    const data = JSON.stringify({ because: 'b'.repeat(10_000), agent: '\u202e'.repeat(1_000) })
    const entry = { ...known, tenant_id: tenant.id, id, data, is_pending: 1 }
    await db.insertInto('journal_entries').values(entry).execute()
  }
  const { text } = await doors.ask({ path: '/console/journal?kind=client', browser })
  assert.equal(text.split('<article').length, 1 + 20)
  const style = await doors.ask({ path: '/assets/console.css' })
  const bytes = Buffer.byteLength(text + style.text)
  assert.ok(bytes < 60_000, `${bytes} bytes`)
})
