// `latchkey tenants …` beside a running server, and `--tenant` of the commands that work on one.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { operator, signIn } from '../harness.ts'
import { ask } from '../http/doors.ts'
import { verifies } from '../requirements.ts'
import { openShell } from './command.ts'

test('the command line makes a tenant, hands it over, switches it and removes it', async (t) => {
  verifies(t, 'S4-10', 'S4-15', 'S4-36')
  const shell = await openShell(t)
  await shell.start()
  const at = (name: string) => shell.origin.replace('localhost', `${name}.localhost`)
  const made = await shell.run('tenants', 'add', 'acme-co', '--url', at('acme'), '--name', 'Acme')
  assert.equal(made.code, 0, made.error)
  const link = /^ {2}(http\S+\/setup\?link=\S+)$/m.exec(made.out)?.[1] ?? assert.fail(made.out)
  const browser = createCookieBrowser()
  await browser.open(link)
  await browser.submit({ fields: { email: 'eve@example.com', password: operator.password } })
  const { items } = await shell.json('users', 'list', '--tenant', 'acme-co')
  assert.deepEqual(
    items.map((user: { email: string; role: string }) => [user.email, user.role]),
    [['eve@example.com', 'admin']],
  )

  const near = await shell.json('tenants', 'add', 'near-co', '--path', '--admin', 'bo@x.test')
  assert.equal(near.issuer, `${shell.origin}/t/near-co`)
  const nearly = await signIn(near.issuer, near.admin)
  assert.equal(await statusOf(near.issuer, nearly, '/clients'), 200)
  const both = ['--path', '--url', at('near')]
  for (const where of [[], both]) {
    const { code, error } = await shell.run('tenants', 'add', 'never-co', ...where)
    assert.notEqual(code, 0)
    assert.match(error, /either --url with an address, or --path/)
  }
  await shell.run('tenants', 'remove', 'near-co', '--yes')

  const other = await shell.json(
    'tenants',
    'add',
    'other-co',
    '--url',
    at('other'),
    '--admin',
    'bo@x.test',
  )
  const bo = await signIn(at('other'), other.admin)
  assert.equal(await statusOf(at('other'), bo, '/clients'), 200)
  assert.equal(await statusOf(at('other'), bo, '/tenants'), 403)

  const kept = await shell.json('tenants', 'call-content', 'acme-co', '30')
  assert.equal(kept.callContentDays, 30)
  const forgotten = await shell.run('tenants', 'call-content', 'acme-co', 'off')
  assert.match(forgotten.out, /acme-co: what is said in calls is not kept/)
  const odd = await shell.run('tenants', 'call-content', 'acme-co', '91')
  assert.match(odd.error, /callContentDays: Enter whole days from 1 to 90/)

  const listed = await shell.run('tenants', 'list')
  assert.match(listed.out, /^acme-co +http:\S+ +Acme +on/m)
  await shell.json('tenants', 'disable', 'acme-co')
  const metadata = { path: '/.well-known/oauth-authorization-server' }
  assert.equal((await ask(at('acme'), metadata)).status, 421)
  await shell.json('tenants', 'enable', 'acme-co')
  assert.equal((await ask(at('acme'), metadata)).status, 200)

  const unsure = await shell.run('tenants', 'remove', 'acme-co')
  assert.deepEqual([unsure.code, unsure.out], [1, ''])
  assert.match(unsure.error, /Say --yes/)
  const wrong = await shell.talk(['tenants', 'remove', 'acme-co'], [[/Type acme-co/, 'acme\r']])
  assert.match(wrong.out, /Nothing was removed/)
  const gone = await shell.talk(['tenants', 'remove', 'acme-co'], [[/Type acme-co/, 'acme-co\r']])
  assert.match(gone.out, /acme-co is removed/)
  assert.equal((await ask(at('acme'), metadata)).status, 421)
  await shell.json('tenants', 'remove', 'other-co', '--yes')
})

test('every command about one tenant takes --tenant, and the others refuse it', async (t) => {
  const shell = await openShell(t)
  await shell.run('migrate')
  await shell.json('tenants', 'add', 'acme-co', '--url', 'https://acme.test')
  const of = ['--tenant', 'acme-co']
  await shell.json('users', 'create', 'eve@example.com', '--role', 'admin', ...of)
  const key = ['--user', 'eve@example.com', '--name', 'x', '--scopes', 'api']
  await shell.json(...of, 'api-keys', 'create', ...key)
  await shell.json(
    'clients',
    'create',
    '--name',
    'C',
    '--redirect-uri',
    'http://127.0.0.1/c',
    ...of,
  )
  for (const words of [
    ['users', 'list'],
    ['clients', 'list'],
    ['api-keys', 'list'],
  ]) {
    assert.equal((await shell.json(...words, ...of)).items.length, 1, words.join(' '))
    assert.equal((await shell.json(...words)).items.length, 0, words.join(' '))
  }
  for (const words of [['servers', 'list'], ['attempts'], ['usage'], ['keys', 'rotate']]) {
    await shell.json(...words, ...of)
  }
  for (const [words, says] of [
    [['users', 'list', '--tenant', 'nobody'], /There is no tenant nobody/],
    [['tenants', 'list', ...of], /"latchkey tenants list" is about the whole installation/],
    [['cleanup', ...of], /leave --tenant out/],
    [['apply', '-f', '/nowhere.yaml'], /\/nowhere.yaml/],
    [['keys', 'status', ...of], /leave --tenant out/],
    [['users', 'create', 'x@x.test', '--role', 'operator', ...of], /role: Operators live in/],
    [['users', 'set-role', 'eve@example.com', 'user', ...of], /This is the last admin/],
    [['tenants', 'add', 'acme', '--url', 'https://x.test'], /slug: Use 6 to 36/],
    [
      ['tenants', 'add', 'near-co', '--url', 'https://acme.test'],
      /issuer: https:\/\/acme.test is the/,
    ],
    [['tenants', 'remove', 'default', '--yes'], /The default tenant cannot be removed/],
    [['tenants', 'link', 'acme-co'], /It has an administrator already/],
    [['tenants', 'remove', 'nobody', '--yes'], /There is no tenant nobody/],
  ] as const) {
    const { code, out, error } = await shell.run(...words)
    assert.deepEqual([code, out], [1, ''], words.join(' '))
    assert.match(error, says)
  }
})

async function statusOf(origin: string, browser: CookieBrowser, path: string) {
  const cookie = browser
    .cookies()
    .map(({ name, value }) => `${name}=${value}`)
    .join('; ')
  return (await ask(origin, { path: `/api/v1${path}`, headers: { cookie } })).status
}
