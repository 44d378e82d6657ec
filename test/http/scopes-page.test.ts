// The pages of scopes: what they show is what people are asked, what they change is what REST changes, and what a server uses
// stays.
import assert from 'node:assert/strict'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { operator, restAs, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { addPerson, openDoorsOn } from './doors.ts'

const path = '/console/scopes'
const name = 'https://notes.example/scope/read?a=b#c'

onEveryDatabase('an administrator adds a scope, changes it and removes it', async (t, store) => {
  verifies(t, 'S3-26', 'S3-52')
  const doors = await openDoorsOn(t, store)
  const { origin } = doors
  const ada = await signIn(origin)
  const rest = restAs(ada, origin)
  const scopeNow = async () => {
    const { items } = (await rest('GET', '/scopes')).body
    return items.find((scope: { name: string }) => scope.name === name)
  }
  const first = await ada.open(origin + path)
  assert.match(first.html, /Used by every server that names no scopes of its own/)
  assert.equal(first.html.match(/Tells apps who a person is/g)?.length, 3)
  const added = await ada.submit({
    fields: { name, words: 'Read your <b>notes</b>', icon: '', usual: false },
    button: 'Add',
  })
  assert.equal(added.status, 200)
  assert.match(added.html, /Read your &lt;b&gt;notes&lt;\/b&gt;/)
  const made = { name, words: 'Read your <b>notes</b>', icon: '🔑', includes: [], usual: false }
  assert.deepEqual(await scopeNow(), { ...made, builtIn: false, own: true })

  const own = `${origin}${path}/${encodeURIComponent(name)}`
  await ada.open(own)
  await ada.submit({
    fields: { words: 'Read your notes', icon: '📝', usual: true },
    button: 'Save',
  })
  assert.match(ada.current().html, /Saved\./)
  const { words, icon, usual } = await scopeNow()
  assert.deepEqual([words, icon, usual], ['Read your notes', '📝', true])
  for (const [field, value] of [
    ['words', ' '],
    ['icon', 'ab'],
  ] as const) {
    const refused = await ada.submit({ fields: { [field]: value }, button: 'Save' })
    assert.equal(refused.status, 422, field)
    assert.match(refused.html, /role="alert"/)
    assert.match(refused.html, new RegExp(`name="${field}"[^>]+value="${value}"`))
    await ada.open(own)
  }

  await ada.submit({ button: 'Remove' })
  assert.equal(ada.current().url, origin + path)
  assert.equal(await scopeNow(), undefined)
  assert.equal((await ada.open(own)).status, 404)
  assert.equal((await ada.open(`${origin}${path}/%ff`)).status, 404)

  await ada.open(origin + path)
  for (const [given, status, says] of [
    ['mcp', 409, /There is a scope of this name already/],
    ['two words', 422, /visible characters without quotes/],
    ['offline_access', 422, /a meaning of its own/],
  ] as const) {
    const refused = await ada.submit({ fields: { name: given, words: 'Do it' }, button: 'Add' })
    assert.equal(refused.status, status, given)
    assert.match(refused.html, says)
    assert.match(refused.html, new RegExp(`value="${given}"`))
  }
  await addPerson(doors, 'eve@example.com')
  const eve = await signIn(origin, { ...operator, email: 'eve@example.com' })
  for (const one of [path, `${path}/mcp`]) assert.equal((await eve.open(origin + one)).status, 403)
})

onEveryDatabase(
  'a scope that a server uses is kept, and the page says which does',
  async (t, store) => {
    verifies(t, 'S3-52')
    const { origin } = await openDoorsOn(t, store)
    const server = await startOpenMcpServer()
    t.after(() => server.stop())
    const ada = await signIn(origin)
    const rest = restAs(ada, origin)
    const scope = { name: 'notes:read', words: 'Read your notes' }
    assert.equal((await rest('POST', '/scopes', scope)).status, 201)
    const toolScopes = [{ scope: scope.name, tools: ['echo'] }]
    const added = { url: server.url, slug: 'notes', name: '<i>Notes</i>', toolScopes }
    assert.equal((await rest('POST', '/servers', added)).status, 201)
    const page = await ada.open(`${origin}${path}/${scope.name}`)
    assert.match(page.html, /Used by <bdi>&lt;i&gt;Notes&lt;\/i&gt;<\/bdi>/)
    const refused = await ada.submit({ button: 'Remove' })
    assert.equal(refused.status, 409)
    assert.match(refused.html, /A server or another scope still names it/)
    assert.equal((await rest('GET', '/scopes')).body.items.at(-1).name, scope.name)
  },
)
