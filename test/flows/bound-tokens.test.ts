// Tokens that are bound to a key of ours (RFC 9449, SEP-1932), at an authorization server that is a real one and an MCP
// server that takes nothing else: signed in, called through the gateway, refreshed, and after a new start.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { TestContext } from 'node:test'
import { decodeProtectedHeader } from 'jose'
import { startDpopMcpServer } from '../counterparts/dpop-mcp-server.ts'
import type { DpopMcpServerOptions } from '../counterparts/dpop-mcp-server.ts'
import { startForeignAuthorizationServer } from '../counterparts/foreign-authorization-server.ts'
import type { ForeignAuthorizationServerOptions } from '../counterparts/foreign-authorization-server.ts'
import { connectMcpClient } from '../counterparts/mcp-client.ts'
import { startProtectedMcpServer } from '../counterparts/protected-mcp-server.ts'
import { createManualClock } from '../../src/base/clock.ts'
import type { Store } from '../../src/store/database.ts'
import { startFaultProvider } from '../fakes/fault-provider.ts'
import { restWithKey, signIn } from '../harness.ts'
import { callAs, openDoorsOn } from '../http/doors.ts'
import { obtainTokens, register } from '../http/oauth-client.ts'
import { onEveryDatabase } from '../on-every-database.ts'

async function startUpstream(
  t: TestContext,
  at: ForeignAuthorizationServerOptions = {},
  server: Partial<DpopMcpServerOptions> = {},
) {
  const foreign = await startForeignAuthorizationServer({ proofs: 'taken', ...at })
  const { issuer, introspect } = foreign
  const mcp = await startDpopMcpServer({ issuer, introspect, ...server })
  t.after(async () => {
    await mcp.stop()
    await foreign.stop()
  })
  return { foreign, mcp }
}

async function startLatchkey(
  t: TestContext,
  store: Store,
  settings: Readonly<Record<string, string>> = {},
) {
  const clock = createManualClock(Date.now())
  const doors = await openDoorsOn(t, store, { clock, settings })
  const browser = await signIn(doors.origin)
  const call = callAs(doors, browser)
  return { clock, doors, browser, call }
}

type Latchkey = Awaited<ReturnType<typeof startLatchkey>>

/** Adds the server and signs in to it, in a browser. */
async function connect({ browser, call }: Latchkey, url: string, slug: string): Promise<string> {
  const { json: added } = await call('POST', '/servers', { url, slug })
  const { json: made } = await call('POST', '/connections', { serverId: added.id })
  const { json: begun } = await call('POST', `/connections/${made.id}/authorize`, {})
  const landed = await browser.open(begun.authorizeUrl)
  assert.match(landed.html, /Connected/)
  return made.id
}

async function connectClient({ doors, browser }: Latchkey, slug: string) {
  const resource = `${doors.origin}/${slug}/mcp`
  const { accessToken } = await obtainTokens(doors, browser, await register(doors), { resource })
  return connectMcpClient({ url: resource, token: accessToken })
}

for (const proofs of ['taken', 'nonce'] as const) {
  const words = proofs === 'nonce' ? 'with the nonces of both servers' : 'without nonces'
  onEveryDatabase(
    `a bound token is used by its key and refreshed with it, ${words}`,
    async (t, store) => {
      const { foreign, mcp } = await startUpstream(
        t,
        { proofs },
        { wantsNonce: proofs === 'nonce' },
      )
      const latchkey = await startLatchkey(t, store)
      const { clock, call } = latchkey
      const id = await connect(latchkey, mcp.url, 'bound')

      const client = await connectClient(latchkey, 'bound')
      await client.listTools()
      mcp.changeNonce()
      await client.callTool({ name: 'echo', arguments: { text: 'hello' } })
      await clock.advance(56 * 60_000)
      await client.listTools()
      foreign.expireAccessTokens()
      await client.listTools()
      await client.close()

      const grants = foreign.tokenRequests().filter(({ status }) => status === 200)
      assert.deepEqual(
        grants.map(({ grant }) => grant),
        ['authorization_code', 'refresh_token', 'refresh_token'],
      )
      assert.equal(new Set(mcp.keys()).size, 1, 'a connection keeps its key')
      assert.ok(mcp.keys().length >= 4)
      const shown = await call('GET', `/connections/${id}`)
      assert.equal(shown.json.status, 'connected')
      latchkey.doors.alsoSecret([...foreign.tokensIssued(), ...proofsIn(mcp)])
    },
  )
}

function proofsIn(mcp: {
  readonly calls: () => readonly { readonly headers: Record<string, string> }[]
}) {
  return mcp.calls().flatMap(({ headers }) => headers['dpop'] ?? [])
}

onEveryDatabase('the key survives a new start and is given to nobody', async (t, store) => {
  const { mcp } = await startUpstream(t)
  const settings = { LATCHKEY_KEY: randomBytes(32).toString('base64url') }
  const latchkey = await startLatchkey(t, store, settings)
  const { call } = latchkey
  const id = await connect(latchkey, mcp.url, 'bound')
  const { json: servers } = await call('GET', '/servers')
  const test = `/servers/${servers.items[0].id}/test`
  assert.equal((await call('POST', test)).json.ok, true)
  const before = mcp.keys().length
  const started = await startLatchkey(t, store, settings)
  assert.equal((await started.call('POST', test)).json.ok, true)
  assert.ok(mcp.keys().length > before)
  assert.equal(new Set(mcp.keys()).size, 1)

  const { json: key } = await started.call('POST', '/api-keys', {
    name: 'b',
    scopes: ['connections:token'],
  })
  const given = await restWithKey(key.key, started.doors.origin)('POST', `/connections/${id}/token`)
  assert.equal(given.status, 409)
  assert.equal(given.body.code, 'token_bound')
  const row = await store.db.selectFrom('credentials').selectAll().executeTakeFirstOrThrow()
  assert.equal(row.token_type, 'DPoP')
  assert.match(row.proof_key_sealed ?? '', /^v1\./)

  const jwk = decodeProtectedHeader(proofsIn(mcp)[0] ?? '').jwk
  assert.deepEqual(Object.keys(jwk ?? {}).toSorted(), ['crv', 'kty', 'x', 'y'])
  await started.call('POST', `/connections/${id}/revoke`, {})
  assert.equal(await store.db.selectFrom('credentials').selectAll().executeTakeFirst(), undefined)
})

onEveryDatabase(
  'a server that knows no proofs is called with Bearer, whatever its issuer offers',
  async (t, store) => {
    const foreign = await startForeignAuthorizationServer({ proofs: 'taken' })
    const { issuer, introspect } = foreign
    const server = await startProtectedMcpServer({ issuer, introspect })
    t.after(async () => {
      await server.stop()
      await foreign.stop()
    })
    const latchkey = await startLatchkey(t, store)
    await connect(latchkey, server.url, 'plain')
    const client = await connectClient(latchkey, 'plain')
    await client.listTools()
    await client.close()
    assert.ok(server.calls().every(({ headers }) => !('dpop' in headers)))
    const row = await store.db.selectFrom('credentials').selectAll().executeTakeFirstOrThrow()
    assert.equal(row.token_type, 'Bearer')
  },
)

onEveryDatabase(
  'a server that takes both schemes is called with the better one',
  async (t, store) => {
    const { mcp } = await startUpstream(t, {}, { takesBearer: true })
    const latchkey = await startLatchkey(t, store)
    await connect(latchkey, mcp.url, 'both')
    const client = await connectClient(latchkey, 'both')
    await client.listTools()
    await client.close()
    assert.ok(mcp.keys().length > 0)
  },
)

onEveryDatabase(
  'where only bound tokens are taken, one for whoever holds it is thrown away',
  async (t, store) => {
    const provider = await startFaultProvider({
      metadataFields: { dpop_signing_alg_values_supported: ['ES256'] },
      resourceMetadataFields: { dpop_bound_access_tokens_required: true },
    })
    t.after(provider.stop)
    const { browser, call } = await startLatchkey(t, store)
    const { json: added } = await call('POST', '/servers', { url: provider.mcpUrl })
    const { json: made } = await call('POST', '/connections', { serverId: added.id })
    const { json: begun } = await call('POST', `/connections/${made.id}/authorize`, {})
    await browser.open(begun.authorizeUrl)
    const { json: flow } = await call('GET', `/flows/${begun.flowId}`)
    assert.equal(flow.status, 'failed')
    assert.equal(flow.error, 'token_response_invalid')
    const asked = provider.requests().find(({ path }) => path === '/token')
    assert.match(asked?.headers['dpop']?.toString() ?? '', /^ey/)
  },
)
