// Help that a person asks for through an app: the ticket, the call in the journal and the person are one (seed 004's bug).
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { startReceiver } from '../../src/journal/webhook.rig.ts'
import type { Store } from '../../src/store/database.ts'
import { operator, restAs, signIn, startTestPlatform } from '../harness.ts'
import { addPerson, openDoorsOn } from '../http/doors.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { until } from '../until.ts'
import { signInClient } from './signed-in-client.ts'

interface Block {
  readonly text?: string
}

const problem = { title: 'No notes', problemDescription: 'The notes are gone.' }
const success = 'Support ticket created successfully. The user will be notified via email.'

async function setUp(t: TestContext, store: Store) {
  const { origin } = await startTestPlatform(t, store)
  const browser = await signIn(origin)
  const rest = restAs(browser, origin)
  assert.deepEqual((await rest('GET', '/support-settings')).body, { support: 'none' })
  const connect = async () => {
    const { client, tokens } = await signInClient({ origin, url: `${origin}/mcp`, browser })
    t.after(() => client.close())
    const ask = async (args: Record<string, unknown> = problem) => {
      const { content } = await client.callTool({ name: 'get_support', arguments: args })
      return (content as Block[])[0]?.text ?? ''
    }
    return { client, ask, tokens }
  }
  return { origin, browser, rest, connect }
}

onEveryDatabase('the first call of a person makes a ticket that is theirs', async (t, store) => {
  verifies(t, 'S4-1', 'S4-2', 'S4-3', 'S4-5', 'S4-6', 'S4-9', 'S4-33', 'S4-34', 'A4-1', 'A4-12')
  const { rest, connect } = await setUp(t, store)
  await rest('PUT', '/support-settings', { support: 'dashboard' })
  const { ask } = await connect()

  assert.equal(await ask({ ...problem, problemContext: 'It was there yesterday.' }), success)

  const { items } = (await rest('GET', '/support-requests')).body
  const [ticket, ...others] = items
  assert.equal(others.length, 0)
  const { id, userId, clientId, createdAt, updatedAt, ...facts } = ticket
  assert.match(id, /^sr_\w+$/)
  assert.deepEqual(facts, {
    title: 'No notes',
    description: 'The notes are gone.',
    context: 'It was there yesterday.',
    email: operator.email,
    emailVerified: false,
    status: 'pending',
    priority: 'medium',
  })
  assert.ok(clientId.startsWith('mcp_oauth_') && createdAt === updatedAt)
  const users = await store.db.selectFrom('users').select('id').execute()
  assert.deepEqual(users, [{ id: userId }])
  const entriesOf = (type: string) =>
    store.db
      .selectFrom('journal_entries')
      .select(['user_id', 'data'])
      .where('type', '=', type)
      .execute()
  let calls: Awaited<ReturnType<typeof entriesOf>> = []
  const look = async () => (calls = await entriesOf('call.completed'))
  await look()
  await until(() => {
    void look()
    return calls.some(({ data }) => data.includes('get_support'))
  })
  const call = calls.find(({ data }) => data.includes('get_support'))
  const [made] = await entriesOf('support_request.created')
  assert.deepEqual([call?.user_id, made?.user_id], [userId, userId])
  // Who is told of it looks it up; the person's words are in the ticket alone.
  assert.ok(!`${made?.data}${call?.data}`.includes('notes'))
})

onEveryDatabase('the tool is there while the tenant takes requests', async (t, store) => {
  verifies(t, 'S4-32')
  const { rest, connect } = await setUp(t, store)
  const { client, ask } = await connect()
  const names = async () => (await client.listTools()).tools.map(({ name }) => name)
  assert.ok(!(await names()).includes('get_support'))
  await assert.rejects(ask(), /no such tool/)

  await rest('PUT', '/support-settings', { support: 'dashboard' })
  const { tools } = await client.listTools()
  const { inputSchema, description } = tools.find(({ name }) => name === 'get_support') ?? {}
  assert.deepEqual(Object.keys(inputSchema?.properties ?? {}), [
    'title',
    'problemDescription',
    'problemContext',
  ])
  assert.deepEqual(inputSchema?.required, ['title', 'problemDescription'])
  assert.match(description ?? '', /Do not include passwords, tokens, API keys or any other secrets/)
  assert.match(await ask({ title: 'x' }), /problemDescription/)
  assert.equal((await rest('GET', '/support-requests')).body.items.length, 0)

  await rest('PUT', '/support-settings', { support: 'none' })
  assert.ok(!(await names()).includes('get_support'))
})

onEveryDatabase(
  'without an address nobody could answer, and with one they can',
  async (t, store) => {
    verifies(t, 'A4-10', 'S4-33', 'S4-14')
    const { rest, connect } = await setUp(t, store)
    await rest('PUT', '/support-settings', { support: 'dashboard' })
    const { ask } = await connect()
    await store.db.updateTable('users').set({ email: null }).execute()
    assert.equal(await ask(), 'To get support, please log in and then call this tool again.')
    assert.equal((await rest('GET', '/support-requests')).body.items.length, 0)

    await store.db.updateTable('users').set({ email: operator.email, email_verified: 1 }).execute()
    assert.equal(await ask(), success)
    const [ticket] = (await rest('GET', '/support-requests')).body.items
    assert.deepEqual([ticket.email, ticket.emailVerified], [operator.email, true])
  },
)

onEveryDatabase('administrators look after requests, and nobody else does', async (t, store) => {
  verifies(t, 'S4-35')
  const doors = await openDoorsOn(t, store)
  const { origin } = doors
  const browser = await signIn(origin)
  const rest = restAs(browser, origin)
  await rest('PUT', '/support-settings', { support: 'dashboard' })
  const { client } = await signInClient({ origin, url: `${origin}/mcp`, browser })
  t.after(() => client.close())
  const ask = () => client.callTool({ name: 'get_support', arguments: problem })
  await ask()
  await ask()
  const [first, second] = (await rest('GET', '/support-requests')).body.items
  const page = (await rest('GET', '/support-requests?limit=1')).body
  const next = await rest('GET', `/support-requests?limit=1&cursor=${page.nextCursor}`)
  assert.deepEqual([page.items, next.body.items], [[first], [second]])
  const path = `/support-requests/${first.id}`

  for (const status of ['needs_email', 'in_progress', 'resolved', 'closed', 'pending']) {
    assert.equal((await rest('PATCH', path, { status })).body.status, status)
  }
  const changed = await rest('PATCH', path, { status: 'closed', priority: 'high' })
  assert.deepEqual([changed.body.status, changed.body.priority], ['closed', 'high'])
  const idsAt = async (status: string) => {
    const { items } = (await rest('GET', `/support-requests?status=${status}`)).body
    return items.map(({ id }: { id: string }) => id)
  }
  assert.deepEqual([await idsAt('closed'), await idsAt('pending')], [[first.id], [second.id]])
  assert.equal((await rest('GET', path)).body.status, 'closed')
  assert.equal((await rest('PATCH', path, { status: 'gone' })).status, 422)
  assert.equal((await rest('PATCH', '/support-requests/sr_none', { status: 'closed' })).status, 404)

  await addPerson(doors, 'bob@example.com')
  const bob = restAs(await signIn(origin, { ...operator, email: 'bob@example.com' }), origin)
  for (const [method, where, body] of [
    ['GET', '/support-requests', undefined],
    ['GET', path, undefined],
    ['PATCH', path, { status: 'pending' }],
    ['PUT', '/support-settings', { support: 'none' }],
  ] as const) {
    assert.equal((await bob(method, where, body)).status, 403, `${method} ${where}`)
  }
})

onEveryDatabase('a model in a loop does not bury the administrators', async (t, store) => {
  verifies(t, 'S4-34')
  const { rest, connect } = await setUp(t, store)
  await rest('PUT', '/support-settings', { support: 'dashboard' })
  const { ask } = await connect()
  for (let asked = 0; asked < 10; asked += 1) assert.equal(await ask(), success)
  await assert.rejects(ask())
  assert.equal((await rest('GET', '/support-requests')).body.items.length, 10)
})

onEveryDatabase('webhooks tell of a ticket, without the words of the person', async (t, store) => {
  verifies(t, 'S4-34', 'S4-35')
  const { rest, connect } = await setUp(t, store)
  const receiver = await startReceiver(t)
  await rest('POST', '/webhooks', { url: receiver.url, eventTypes: ['support_request.*'] })
  await rest('PUT', '/support-settings', { support: 'dashboard' })
  const { ask } = await connect()
  await ask()
  const [ticket] = (await rest('GET', '/support-requests')).body.items
  await receiver.until(1)
  await rest('PATCH', `/support-requests/${ticket.id}`, { status: 'resolved' })
  await receiver.until(2)
  assert.deepEqual(
    receiver.received.map(({ json }) => json.type),
    ['support_request.created', 'support_request.changed'],
  )
  for (const { body } of receiver.received) {
    assert.ok(body.includes(ticket.id) && !body.includes('notes'))
  }
})

onEveryDatabase(
  'who calls is told by what they bring, and each door takes its own kind',
  async (t, store) => {
    verifies(t, 'S4-7', 'S4-4')
    const { origin, browser, connect } = await setUp(t, store)
    const { tokens } = await connect()
    const cookie = browser
      .cookies()
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ')
    const authorization = `Bearer ${tokens()?.access_token}`
    const list = { method: 'POST', body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}' }
    const json = {
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
    }
    const statuses = [
      await fetch(`${origin}/mcp`, { ...list, headers: { ...json, cookie } }),
      await fetch(`${origin}/mcp`, { ...list, headers: { ...json, authorization } }),
      await fetch(`${origin}/api/v1/support-requests`, { headers: { authorization } }),
      await fetch(`${origin}/api/v1/support-requests`, { headers: { cookie, origin } }),
    ].map(({ status }) => status)
    assert.deepEqual(statuses, [401, 200, 401, 200])
  },
)
