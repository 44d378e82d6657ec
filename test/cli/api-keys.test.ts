// `latchkey api-keys …` beside a running server: a key is made for a person, works at once, and ends at once.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { operator, restAs, restWithKey, signIn } from '../harness.ts'
import { openBeside, openShell } from './command.ts'

const flags = ['--user', operator.email, '--name', 'robot', '--scopes', 'api,connections:token']

test('the command line makes a key for a person, lists it, and ends it', async (t) => {
  const shell = await openShell(t)
  await shell.start()
  const made = await shell.run('api-keys', 'create', ...flags)
  assert.equal(made.code, 0, made.error)
  assert.match(made.out, /^lk_[\w-]{43}\n$/, 'nothing but the key, so that a script can take it')
  assert.match(made.error, /shown only this once/)
  const id = /key_\w+/.exec(made.error)?.[0] ?? ''
  const asRobot = restWithKey(made.out.trim(), shell.origin)
  assert.equal((await asRobot('GET', '/connections')).status, 200)

  const asPerson = restAs(await signIn(shell.origin), shell.origin)
  const own = (await asPerson('GET', '/api-keys')).body.items
  assert.deepEqual(
    own.map((key: { id: string; name: string }) => [key.id, key.name]),
    [[id, 'robot']],
    'the person sees it too',
  )
  await shell.json('users', 'create', 'eve@example.com')
  const [user, name] = ['eve@example.com', 'a while']
  const when = ['--scopes', 'api', '--expires', '30d']
  const short = await shell.json('api-keys', 'create', '--user', user, '--name', name, ...when)
  assert.deepEqual([short.name, short.scopes, short.email], [name, ['api'], user])
  const livesMs = short.expiresAt - short.createdAt
  assert.ok(Math.abs(livesMs - 30 * 24 * 3_600_000) < 60_000, `it lives ${livesMs} ms`)
  assert.equal((await restWithKey(short.key, shell.origin)('GET', '/connections')).status, 200)

  const listed = await shell.run('api-keys', 'list')
  assert.match(listed.out, /^ID +NAME +PERSON +SCOPES +MADE \(UTC\) +EXPIRES \(UTC\)$/m)
  assert.match(listed.out, /robot +ada@example\.com +api, connections:token +\S+ \S+ +-$/m)
  assert.match(listed.out, /a while +eve@example\.com +api +\S+ \S+ +\d{4}-\d\d-\d\d \d\d:\d\d$/m)
  const { items } = await shell.json('api-keys', 'list', '--user', user)
  const { key, ...withoutKey } = short
  assert.deepEqual(items, [withoutKey])
  assert.doesNotMatch(listed.out + JSON.stringify(items), /lk_/)
  assert.ok(key)

  assert.match((await shell.run('api-keys', 'revoke', id)).out, /^The key robot \(key_\w+\) of ada/)
  assert.equal((await asRobot('GET', '/connections')).status, 401, 'on the next request')
  const again = await shell.run('api-keys', 'revoke', id)
  assert.equal(again.code, 1)
  assert.match(again.error, /There is no living API key key_/)

  const { ground, tenant } = await openBeside(t, shell)
  const told = (await ground.journal.list({ tenantId: tenant.id }))
    .filter(({ type }) => type.startsWith('api_key.'))
    .map(({ type, actor, subject }) => [type, actor.kind, subject?.id])
  assert.deepEqual(told, [
    ['api_key.created', 'operator', id],
    ['api_key.created', 'operator', short.id],
    ['api_key.revoked', 'operator', id],
  ])
})

test('a key that cannot be made is said in words, and none is made', async (t) => {
  const shell = await openShell(t)
  await shell.run('migrate')
  await shell.json('users', 'create', operator.email)
  for (const [words, says] of [
    [[], /^Say --user, --name and --scopes\.$/m],
    [flags.slice(2), /^Say --user, --name and --scopes\.$/m],
    [flags.with(1, 'nobody@example.com'), /There is no user nobody@example\.com here/],
    [flags.with(3, ' '), /^--name is 1 to 80 characters\.$/m],
    [flags.with(3, 'x'.repeat(81)), /^--name is 1 to 80 characters\.$/m],
    [flags.with(5, 'all'), /^--scopes is one or more of api, connections:token, metrics\.$/m],
    [flags.with(5, ','), /^--scopes is one or more of api, connections:token, metrics\.$/m],
    [[...flags, '--expires', 'soon'], /^--expires is a day such as 2027-01-31 \(UTC\), or /m],
    [[...flags, '--expires', '2027-02-31'], /^--expires is a day such as/m],
    [[...flags, '--expires', '0d'], /^--expires is a moment that is still to come\.$/m],
    [[...flags, '--expires', '2020-01-31'], /^--expires is a moment that is still to come\.$/m],
  ] as const) {
    const { code, out, error } = await shell.run('api-keys', 'create', ...words)
    assert.deepEqual([code, out], [1, ''], words.join(' '))
    assert.match(error, says)
  }
  assert.deepEqual(await shell.json('api-keys', 'list'), { items: [] })
  assert.match((await shell.run('api-keys', 'list')).out, /^There are no API keys yet\./)
})
