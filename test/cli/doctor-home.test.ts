// `latchkey doctor` without an address: an installation in order, and each way in which it is not.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { request as sendOn } from 'node:http'
import { test } from 'node:test'
import { readConfig } from '../../src/config.ts'
import { openConfiguredStore } from '../../src/configured-store.ts'
import { listenOnLoopback } from '../counterparts/loopback.ts'
import { freePort } from '../harness.ts'
import { openShell } from './command.ts'

test('a running installation is in order', async (t) => {
  const shell = await openShell(t)
  await shell.start()
  const { code, out } = await shell.run('doctor')
  assert.equal(code, 0, out)
  assert.match(out, /✓ All settings can be used/)
  assert.match(out, /! Outbound calls may reach private networks: loopback/)
  assert.match(out, /✓ The database answers, and has the shape that this version needs/)
  assert.match(out, /✓ The master key is the one of this database/)
  assert.match(out, /✓ http\S+ is the Latchkey of this database/)
  assert.match(
    out,
    /✓ A client without a token is shown where our metadata is\. \(RFC 9728 §5\.1\)/,
  )
  assert.match(out, /This Latchkey is in order\.$/m)
  const { ok, findings } = await shell.json('doctor')
  assert.equal(ok, true)
  assert.ok(findings.length > 5)
  const { items } = await shell.json('attempts')
  assert.deepEqual(items, [], 'the doctor is no client in trouble')
})

test('what is not there yet is not made', async (t) => {
  const shell = await openShell(t)
  const { code, out } = await shell.run('doctor')
  assert.equal(code, 1)
  assert.match(out, /✗ There is no Latchkey in .* yet\.\n {4}You: Run "latchkey start"/)
  assert.equal(existsSync(shell.environment['LATCHKEY_DATA'] ?? ''), false)
})

test('settings that cannot be used are named', async (t) => {
  const shell = await openShell(t, { LATCHKEY_PUBLIC_URI: 'https://a.test' })
  const { code, out } = await shell.run('doctor')
  assert.equal(code, 1)
  assert.match(out, /✗ there is no setting LATCHKEY_PUBLIC_URI/)
})

test('a database that lacks migrations is left as it is', async (t) => {
  const shell = await openShell(t)
  await shell.run('migrate')
  const store = await openConfiguredStore(readConfig(shell.environment))
  const newest = await store.db
    .withTables<{ migrations: { name: string } }>()
    .selectFrom('migrations')
    .select('name')
    .orderBy('name', 'desc')
    .executeTakeFirstOrThrow()
  const forget = store.db
    .withTables<{ migrations: { name: string } }>()
    .deleteFrom('migrations')
    .where('name', '=', newest.name)
  await forget.execute()
  await store.close()
  for (const time of ['once', 'and again']) {
    const { code, out } = await shell.run('doctor')
    assert.equal(code, 1, time)
    assert.match(out, new RegExp(`✗ The database lacks 1 migrations .*: ${newest.name}\\.`))
  }
})

test('a key that is not the database’s is said before anything is sealed with it', async (t) => {
  const shell = await openShell(t)
  await shell.run('migrate')
  await shell.run('keys', 'status')
  const other = await openShell(t, {
    ...shell.environment,
    LATCHKEY_KEY: randomBytes(32).toString('base64url'),
  })
  const { code, out } = await other.run('doctor')
  assert.equal(code, 1)
  assert.match(out, /✗ LATCHKEY_KEY is not the one this database was made with/)
})

test('a server that does not run, and a proxy that loses what it should pass on, are told apart', async (t) => {
  const port = await freePort()
  const proxy = await listenOnLoopback(() => (request, response) => {
    const { method, headers, url: path } = request
    const passed = sendOn({ host: '127.0.0.1', port, method, headers, path }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, { 'content-type': 'application/json' })
      answer.pipe(response)
    })
    passed.on('error', () => response.writeHead(502).end())
    request.pipe(passed)
  })
  t.after(proxy.stop)
  const shell = await openShell(t, {
    LATCHKEY_LISTEN: `127.0.0.1:${port}`,
    LATCHKEY_PUBLIC_URL: proxy.origin,
  })
  await shell.run('migrate')
  const down = await shell.run('doctor')
  assert.equal(down.code, 1)
  assert.match(down.out, /✗ http\S+ answers, but is no Latchkey/)
  await shell.start()
  const { code, out } = await shell.run('doctor')
  assert.equal(code, 1, out)
  assert.match(out, /✗ A client without a token is answered 401, without the way to http/)
  assert.match(out, /You: Let the proxy in front pass all paths and headers on/)
})
