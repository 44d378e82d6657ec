// REST for scopes and for what a server's tools need: the shapes, who may call, and that what is said there is what
// clients and people see.
import assert from 'node:assert/strict'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { operator, restAs, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { addPerson, assertAnswer, openDoorsOn } from './doors.ts'
import { authorizePath, obtainTokens, redirectUri, register } from './oauth-client.ts'

onEveryDatabase('an administrator manages scopes over REST', async (t, store) => {
  verifies(t, 'S3-52', 'S3-26', 'S1-89')
  const doors = await openDoorsOn(t, store)
  const ada = restAs(await signIn(doors.origin), doors.origin)
  const first = await ada('GET', '/scopes')
  assert.equal(first.status, 200)
  assert.deepEqual(first.body.items[1], {
    name: 'memories:read',
    words: 'Read your memories and related data',
    icon: '📖',
    includes: [],
    usual: true,
    builtIn: true,
    own: false,
  })
  const made = await ada('POST', '/scopes', {
    name: 'https://notes.example/scope/read',
    words: 'Read your notes',
    icon: '📝',
    usual: false,
  })
  assert.equal(made.status, 201)
  assert.deepEqual([made.body.usual, made.body.builtIn, made.body.own], [false, false, true])
  const path = `/scopes/${encodeURIComponent(made.body.name)}`
  const changed = await ada('PATCH', path, { includes: ['memories:read'], usual: true })
  assert.equal(changed.status, 200)
  assert.deepEqual([changed.body.includes, changed.body.usual], [['memories:read'], true])
  assert.equal((await ada('PATCH', '/scopes/nothing', { words: 'x' })).status, 404)
  for (const [field, value] of [
    ['words', 'a\u202Eb'],
    ['icon', 'ab'],
    ['includes', ['nothing']],
    ['name', 'other'],
  ] as const) {
    const answer = await ada('PATCH', path, { [field]: value })
    assert.equal(answer.status, 422, field)
    assert.equal(answer.body.code, 'invalid_input')
  }
  assert.equal((await ada('DELETE', path)).status, 204)
  assert.equal((await ada('DELETE', path)).status, 404)
  const { items } = (await ada('GET', '/journal')).body
  const entries = items.filter(({ type }: { type: string }) => type.startsWith('scope.'))
  assert.deepEqual(
    entries.map((entry: { type: string; subject: { id: string } }) => [
      entry.type,
      entry.subject.id,
    ]),
    ['created', 'updated', 'deleted'].map((what) => [`scope.${what}`, made.body.name]),
  )

  await addPerson(doors, 'eve@example.com')
  const eve = restAs(
    await signIn(doors.origin, { ...operator, email: 'eve@example.com' }),
    doors.origin,
  )
  assert.equal((await eve('GET', '/scopes')).status, 403)
  assert.equal((await eve('POST', '/scopes', { name: 'x', words: 'x' })).status, 403)
})

onEveryDatabase('a server has the scopes that an administrator says', async (t, store) => {
  verifies(t, 'S3-52', 'S3-32', 'A3-4')
  const upstream = await startOpenMcpServer()
  t.after(() => upstream.stop())
  const doors = await openDoorsOn(t, store)
  const { ask, origin } = doors
  const browser = await signIn(origin)
  const ada = restAs(browser, origin)
  await ada('POST', '/scopes', { name: 'notes:read', words: 'Read your notes', icon: '📝' })
  await ada('POST', '/scopes', {
    name: 'notes:admin',
    words: 'Erase all notes',
    usual: false,
    includes: ['notes:read'],
  })
  const { body: server } = await ada('POST', '/servers', { url: upstream.url, slug: 'notes' })
  assert.equal('toolScopes' in server, false)
  const update = (toolScopes: unknown) => ada('PATCH', `/servers/${server.id}`, { toolScopes })
  const toolScopes = [
    { scope: 'notes:read', tools: ['echo', 'who*'] },
    { scope: 'notes:admin', tools: ['*'] },
  ]
  assert.deepEqual((await update(toolScopes)).body.toolScopes, toolScopes)
  for (const wrong of [
    [{ scope: 'nothing', tools: ['a'] }],
    [toolScopes[0], toolScopes[0]],
    [{ scope: 'notes:read', tools: ['a*b'] }],
    [{ scope: 'notes:read', tools: ['a b'] }],
    [{ scope: 'notes:read', tools: [''] }],
    [{ scope: 'notes:read' }],
    'notes:read',
  ]) {
    const { status, body } = await update(wrong)
    assert.equal(status, 422, JSON.stringify(wrong))
    assert.equal(body.code, 'invalid_input')
  }
  assert.equal((await ada('DELETE', '/scopes/notes%3Aread')).status, 409)

  const metadata = await ask({ path: '/.well-known/oauth-protected-resource/notes/mcp' })
  assert.deepEqual(metadata.json.scopes_supported, ['notes:read'])
  const client = await register(doors, {})
  const resource = `${origin}/notes/mcp`
  browser.setStopAt((url) => url.origin !== origin)
  const open = (scope: string | undefined) =>
    browser.open(origin + authorizePath(client, { resource, scope }))
  const usual = await open(undefined)
  assert.ok(usual.html.includes('Read your notes') && !usual.html.includes('Erase all notes'))
  const both = await open('notes:read notes:admin')
  assert.ok(both.html.includes('Erase all notes'))
  assert.match(both.html, /With it: <bdi>Read your notes/)
  const refused = new URL((await open('mcp')).url)
  assert.ok(refused.href.startsWith(redirectUri))
  assert.equal(refused.searchParams.get('error'), 'invalid_scope')

  const program = { name: 'Robot', redirectUris: [], grantTypes: ['client_credentials'] }
  const { id, clientSecret } = (await ada('POST', '/clients', program)).body
  const own = async (scope?: string) => {
    const proof = { client_id: id, client_secret: clientSecret }
    const form = { grant_type: 'client_credentials', ...proof, resource, scope }
    return (await ask({ path: '/oauth/token', form })).json.scope
  }
  assert.equal(await own(), 'notes:read', 'nobody gets by the way what has to be asked for')
  assert.equal(await own('notes:admin'), 'notes:admin')
  assert.equal(await own('notes:read notes:admin'), 'notes:read notes:admin')

  assert.equal('toolScopes' in (await update([])).body, false)
  const after = await ask({ path: '/.well-known/oauth-protected-resource/notes/mcp' })
  assert.deepEqual(after.json.scopes_supported, ['mcp'])
  assertAnswer(after, { status: 200 })
  assert.equal((await ada('DELETE', '/scopes/notes%3Aread')).status, 409, 'another includes it')
  assert.equal((await ada('DELETE', '/scopes/notes%3Aadmin')).status, 204)
  assert.equal((await ada('DELETE', '/scopes/notes%3Aread')).status, 204)
})

onEveryDatabase('our own endpoints outlive a server that names one of them', async (t, store) => {
  const upstream = await startOpenMcpServer()
  t.after(() => upstream.stop())
  const doors = await openDoorsOn(t, store)
  const browser = await signIn(doors.origin)
  const ada = restAs(browser, doors.origin)
  await ada('POST', '/servers', { url: upstream.url, slug: 'notes' })
  const client = await register(doors)
  const grants = async () => (await ada('GET', '/grants')).body.items.length
  for (const path of ['/mcp', '/notes/mcp']) {
    await obtainTokens(doors, browser, client, { resource: doors.origin + path })
    const { body } = await ada('POST', '/servers', { url: doors.origin + path, auth: 'none' })
    assert.equal((await ada('DELETE', `/servers/${body.id}`)).status, 204)
  }
  assert.equal(await grants(), 2)
})
