// `latchkey users …` beside a running server: people, roles and lost passwords.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { operator, restAs, signIn } from '../harness.ts'
import { openShell } from './command.ts'

test('the command line makes people, changes what they may do, and resets passwords', async (t) => {
  const shell = await openShell(t)
  await shell.start()
  const printed = await shell.run('users', 'create', 'Eve@Example.com', '--name', 'Eve')
  assert.equal(printed.code, 0, printed.error)
  const password = /^ {2}(\S{43})$/m.exec(printed.out)?.[1] ?? assert.fail(printed.out)
  const eve = { email: 'eve@example.com', password }
  const asEve = restAs(await signIn(shell.origin, eve), shell.origin)
  assert.equal((await asEve('GET', '/connections')).status, 200)
  assert.equal((await asEve('GET', '/clients')).status, 403)

  await shell.json('users', 'set-role', eve.email, 'admin')
  assert.equal((await asEve('GET', '/clients')).status, 200, 'on the next request')

  const reset = await shell.json('users', 'reset', eve.email)
  assert.equal((await asEve('GET', '/connections')).status, 401, 'signed out everywhere')
  const withOld = restAs(await signIn(shell.origin, eve), shell.origin)
  assert.equal((await withOld('GET', '/connections')).status, 401)
  const withNew = restAs(await signIn(shell.origin, { ...eve, ...reset }), shell.origin)
  assert.equal((await withNew('GET', '/connections')).status, 200)

  const listed = await shell.run('users', 'list')
  assert.match(listed.out, /eve@example\.com +Eve +admin +on/)
  assert.doesNotMatch(listed.out, new RegExp(reset.password))
  const { items } = await shell.json('users', 'list')
  assert.equal(items.length, 2)
})

test('what cannot be done with people is said in words', async (t) => {
  const shell = await openShell(t)
  await shell.run('migrate')
  await shell.json('users', 'create', operator.email, '--role', 'operator')
  for (const [words, says] of [
    [['create', 'nonsense'], /^ {2}email: Enter an e-mail address, such as/m],
    [['create', operator.email], /A person with this e-mail exists/],
    [['create', 'x@example.com', '--role', 'king'], /The role is one of user, admin, operator/],
    [['set-role', operator.email, 'king'], /The role is one of user, admin, operator/],
    [['set-role', operator.email, 'user'], /This is the last operator/],
    [['set-role', 'usr_nobody', 'user'], /There is no user usr_nobody here/],
    [['reset', 'nobody@example.com'], /There is no user nobody@example.com here/],
  ] as const) {
    const { code, out, error } = await shell.run('users', ...words)
    assert.deepEqual([code, out], [1, ''], words.join(' '))
    assert.match(error, says)
  }
  const { items } = await shell.json('users', 'list')
  assert.deepEqual(
    items.map((user: { email: string; role: string }) => [user.email, user.role]),
    [[operator.email, 'operator']],
  )
})
