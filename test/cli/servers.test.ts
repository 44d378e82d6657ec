// `latchkey servers …` beside a running server.
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { listenOnLoopback } from '../counterparts/loopback.ts'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { startFaultProvider } from '../fakes/fault-provider.ts'
import { verifies } from '../requirements.ts'
import { openShell } from './command.ts'

test('the command line adds, tries out and removes servers that a running server serves', async (t) => {
  const upstream = await startOpenMcpServer()
  t.after(upstream.stop)
  const shell = await openShell(t)
  await shell.start()
  const added = await shell.run(
    'servers',
    'add',
    upstream.url,
    '--name',
    'Notes',
    '--slug',
    'notes',
  )
  assert.equal(added.code, 0, added.error)
  assert.match(added.out, /^Notes is at http:\/\/localhost:\d+\/notes\/mcp\. Sign-in: none\.$/m)
  const metadata = `${shell.origin}/.well-known/oauth-protected-resource/notes/mcp`
  assert.equal((await fetch(metadata)).status, 200)

  const tested = await shell.json('servers', 'test', 'notes')
  assert.equal(tested.ok, true)
  assert.match((await shell.run('servers', 'test', 'notes')).out, /^Notes has \d+ tools for ada@/)
  const { items } = await shell.json('servers', 'list')
  assert.equal(items.length, 1)
  assert.match((await shell.run('servers', 'list')).out, /Notes +\/notes\/mcp +none/)

  await upstream.stop()
  const broken = await shell.run('servers', 'test', items[0].id)
  assert.equal(broken.code, 1)
  assert.match(broken.out, /^Notes does not work for ada@/)
  assert.match((await shell.run('servers', 'remove', 'notes')).out, /^Notes is removed\./)
  assert.equal((await fetch(metadata)).status, 404)
})

test('a well-known server is added by its name, and one without registrations says what to make by hand', async (t) => {
  const shell = await openShell(t)
  await shell.start()
  const { items } = await shell.json('servers', 'templates')
  assert.deepEqual(
    items.map(({ id }: { id: string }) => id),
    ['github', 'linear', 'notion', 'sentry', 'slack'],
  )
  assert.match(
    (await shell.run('servers', 'templates')).out,
    /^notion +Notion +https:\/\/mcp\.notion\.com\/mcp /m,
  )

  // Without asking anybody: how it is reached is said.
  const added = await shell.json('servers', 'add', 'notion', '--auth', 'none')
  assert.deepEqual([added.name, added.slug, added.url], ['Notion', 'notion', items[2].url])
  const unknown = await shell.run('servers', 'add', 'nothing')
  assert.equal(unknown.code, 1)
  assert.match(unknown.error, /nothing is neither an address nor a template/)

  const nobody = ['--auth', 'provider', '--provider', 'company']
  const nowhere = await shell.run('servers', 'add', 'notion', '--slug', 'taker', ...nobody)
  assert.deepEqual([nowhere.code, nowhere.out], [1, ''])
  assert.match(nowhere.error, /There is no provider company in default/)
  const file = join(shell.environment['LATCHKEY_DATA'] ?? '', 'tenants.json')
  const at = 'https://login.example'
  const company = {
    slug: 'company',
    kind: 'oauth2',
    name: 'Company',
    authorizationEndpoint: `${at}/authorize`,
    tokenEndpoint: `${at}/token`,
    userinfoEndpoint: `${at}/me`,
    clientId: 'latchkey',
    keepsTokens: true,
  }
  writeFileSync(file, JSON.stringify({ tenants: [{ slug: 'default', providers: [company] }] }))
  await shell.json('apply', '-f', file, '--yes')
  const taker = await shell.json('servers', 'add', 'notion', '--slug', 'taker', ...nobody)
  assert.match(taker.providerId, /^prv_/)

  const provider = await startFaultProvider({ offersRegistration: false })
  t.after(provider.stop)
  const byHand = await shell.run('servers', 'add', provider.mcpUrl, '--slug', 'by-hand')
  const { items: servers } = await shell.json('servers', 'list')
  const { id, redirectUri } = servers.find(({ slug }: { slug: string }) => slug === 'by-hand')
  assert.match(redirectUri, /\/connect\/callback\//)
  assert.ok(byHand.out.includes(redirectUri) && byHand.out.includes(id), byHand.out)

  const given = ['--client-id', 'mine', '--client-secret']
  const secret = 'a-secret-from-a-pipe'
  const known = await shell.pipe(secret, 'servers', 'add', provider.mcpUrl, ...given)
  assert.equal(known.code, 0, known.error)
  assert.doesNotMatch(known.out, /redirect URI|a-secret/)
})

test('a tool whose name commands a terminal is printed without what commands', async (t) => {
  verifies(t, 'X-12')
  const name = 'evil\u001b]0;owned\u0007\u009b31m'
  const { origin, stop } = await listenOnLoopback(() => (_request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: { tools: [{ name }] } }))
  })
  t.after(stop)
  const shell = await openShell(t)
  await shell.start()
  await shell.run('servers', 'add', `${origin}/mcp`, '--slug', 'evil', '--auth', 'none')

  const { out } = await shell.run('servers', 'test', 'evil')

  assert.match(out, /evil\ufffd\]0;owned\ufffd\ufffd31m/)
  assert.doesNotMatch(out, /[^\P{Cc}\n]/u)
})

test('a header of a server is never printed', async (t) => {
  const shell = await openShell(t)
  await shell.run('migrate')
  const header = 'x-api-key: verySecretValue'
  const words = ['http://127.0.0.1:9/mcp', '--auth', 'headers', '--header', header]
  const added = await shell.run('servers', 'add', ...words, '--json')
  const shown = [
    added,
    await shell.run('servers', 'list'),
    await shell.run('servers', 'list', '--json'),
  ]
  for (const { out, error } of shown) assert.doesNotMatch(out + error, /verySecretValue/)
})

test('what cannot be done with servers is said in words', async (t) => {
  const shell = await openShell(t)
  await shell.run('migrate')
  for (const [words, says] of [
    [['add', 'nonsense'], /cannot be used|address/],
    [['add', 'https://a.test/mcp', '--auth', 'magic'], /--auth is one of none, headers, oauth/],
    [['add', 'https://a.test/mcp', '--header', 'nonsense'], /--header is a name, a colon/],
    [['remove', 'nobody'], /There is no server nobody/],
    [['test', 'nobody'], /There is no server nobody/],
  ] as const) {
    const { code, out, error } = await shell.run('servers', ...words)
    assert.deepEqual([code, out], [1, ''], words.join(' '))
    assert.match(error, says)
  }
})

test('a server for programs is added with a key from a file, or one that is made', async (t) => {
  const provider = await startFaultProvider()
  t.after(provider.stop)
  const shell = await openShell(t)
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-key-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'key.pem')
  const { privateKey } = generateKeyPairSync('ed25519')
  writeFileSync(file, privateKey.export({ format: 'pem', type: 'pkcs8' }))
  const add = ['servers', 'add', provider.mcpUrl, '--grant-type', 'client_credentials']
  const client = ['--client-id', 'us', '--client-key']
  await shell.start()

  const given = await shell.json(...add, ...client, file)
  assert.equal(given.grantType, 'client_credentials')
  assert.equal(given.clientKey.alg, 'EdDSA')
  const made = await shell.run(...add, ...client, 'generate')
  assert.match(made.out, /public half of our key there is at http\S+\/connect\/client-keys\//)
  const missing = await shell.run(...add, ...client, '/nowhere/key.pem')
  assert.match(missing.error, /The key file \/nowhere\/key\.pem cannot be read\./)
  const wrong = await shell.run('servers', 'add', provider.mcpUrl, '--grant-type', 'password')
  assert.match(wrong.error, /--grant-type is one of authorization_code, client_credentials\b/)
})
