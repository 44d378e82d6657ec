// Proves the command-line clients against the counterparts' own servers.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import { runInspectorCli, runMcpRemote } from './command-clients.ts'
import { createCookieBrowser } from './cookie-browser.ts'
import { startForeignAuthorizationServer } from './foreign-authorization-server.ts'
import { startHeaderMcpServer, startProtectedMcpServer } from './protected-mcp-server.ts'

test('the Inspector lists and calls tools with a header, and says when it must sign in', async (t) => {
  const server = await startHeaderMcpServer({ headerName: 'x-api-key', value: 'a key' })
  t.after(server.stop)
  const call = [
    '--method',
    'tools/call',
    '--tool-name',
    'echo',
    '--tool-args-json',
    '{"text":"hi"}',
  ]
  const headers = { 'x-api-key': 'a key' }

  for (const era of ['legacy', 'modern'] as const) {
    const { exitCode, json } = await runInspectorCli({ url: server.url, headers, args: call, era })
    assert.equal(exitCode, 0)
    assert.match(JSON.stringify(json), /"text":"hi"/)
  }
  const args = ['--method', 'tools/list']
  const refused = await runInspectorCli({ url: server.url, args })
  assert.equal(refused.exitCode, 3)
  assert.match(refused.stderr, /auth_required/)
})

test('mcp-remote signs in by its own flow, and once only', async (t) => {
  const foreign = await startForeignAuthorizationServer()
  t.after(foreign.stop)
  const { issuer, introspect } = foreign
  const server = await startProtectedMcpServer({ issuer, introspect })
  t.after(server.stop)
  const configDirectory = await mkdtemp(join(tmpdir(), 'latchkey-mcp-remote-'))
  t.after(() => rm(configDirectory, { recursive: true, force: true }))
  const authorize = async (url: string) => void (await createCookieBrowser().open(url))
  const run = { url: server.url, authorize, configDirectory }
  const whoami = { name: 'whoami_upstream', arguments: {} }

  const first = await runMcpRemote(run)
  t.after(first.stop)
  assert.match(JSON.stringify(await first.request('tools/list')), /slow_count/)
  assert.match(JSON.stringify(await first.request('tools/call', whoami)), /"text":"alice"/)
  assert.equal(first.authorizeUrls().length, 1)
  await first.stop()

  const second = await runMcpRemote(run)
  t.after(second.stop)
  assert.match(JSON.stringify(await second.request('tools/call', whoami)), /"text":"alice"/)
  assert.equal(second.authorizeUrls().length, 0)
})
