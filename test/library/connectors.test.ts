// The client half inside somebody else's app: its users connect to other people's MCP servers, and the app's back end gets
// live tokens, without a Latchkey server and without Latchkey's own users.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { pathToFileURL } from 'node:url'
import { sql } from 'kysely'
import { createManualClock } from '../../src/base/clock.ts'
import { createConnectors } from '../../src/client.ts'
import { migrate } from '../../src/store/migrate.ts'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import { startHeaderMcpServer, startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { startTestPlatform } from '../harness.ts'
import { onEveryDatabase, onEveryEmptyDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { startUpstream } from '../counterparts/protected-upstream.ts'
import { appKey, connect, createHearing, optionsOf, startApp } from './app.ts'

onEveryDatabase('a user of an app connects, and the app gets live tokens', async (t, store) => {
  verifies(t, 'S1-3')
  const { foreign, server } = await startUpstream(t)
  const clock = createManualClock(Date.now())
  const app = await startApp(t, store, { clock })
  const { connectors } = app

  const begun = await connectors.begin('ada', server.url)
  assert.ok('authorizeUrl' in begun)
  assert.equal(new URL(begun.authorizeUrl).origin, app.origin)
  assert.equal(begun.expiresAt, clock.now() + 5 * 60_000)
  const waiting = await connectors.credentialFor('ada', begun.connectionId)
  assert.equal(waiting.kind, 'authorization_required')

  const browser = await app.browserOf('ada')
  const landed = await browser.open(begun.authorizeUrl)
  assert.equal(landed.status, 200)
  assert.match(landed.html, /Connected/)
  assert.deepEqual(await connectors.begin('ada', server.url), {
    alreadyAuthorized: true,
    connectionId: begun.connectionId,
  })

  const first = await connectors.credentialFor('ada', begun.connectionId)
  assert.ok(first.kind === 'bearer')
  assert.equal((await foreign.introspect(first.token.reveal())).active, true)

  await clock.advance(56 * 60_000)
  const renewed = await Promise.all(
    Array.from({ length: 50 }, () => connectors.credentialFor('ada', begun.connectionId)),
  )
  const tokens = renewed.map((one) => (one.kind === 'bearer' ? one.token.reveal() : one.kind))
  assert.equal(new Set(tokens).size, 1)
  assert.notEqual(tokens[0], first.token.reveal())
  const refreshes = foreign.tokenRequests().filter(({ grant }) => grant === 'refresh_token')
  assert.equal(refreshes.length, 1)
  app.alsoSecret(foreign.tokensIssued())
})

onEveryDatabase('a sign-in belongs to one user and one browser', async (t, store) => {
  verifies(t, 'S1-10')
  const { server } = await startUpstream(t)
  const app = await startApp(t, store)
  const begun = await app.connectors.begin('ada', server.url)
  assert.ok('authorizeUrl' in begun)

  const stranger = createCookieBrowser()
  assert.equal((await stranger.open(begun.authorizeUrl)).status, 401)
  const other = await app.browserOf('eve')
  assert.equal((await other.open(begun.authorizeUrl)).status, 404)

  const hers = await app.browserOf('ada')
  hers.setStopAt((url) => url.pathname.startsWith('/connect/callback/'))
  const stopped = await hers.open(begun.authorizeUrl)
  const anotherOfHers = await app.browserOf('ada')
  assert.equal((await anotherOfHers.open(begun.authorizeUrl)).status, 400)
  assert.equal((await other.open(stopped.url)).status, 400)
  assert.equal((await anotherOfHers.open(stopped.url)).status, 400)

  hers.setStopAt(() => false)
  assert.match((await hers.open(stopped.url)).html, /Connected/)
  assert.match((await hers.open(stopped.url)).html, /This did not work/)
})

onEveryDatabase('what is of one user is nothing to another', async (t, store) => {
  const { foreign, server } = await startUpstream(t)
  const app = await startApp(t, store)
  const { connectors } = app
  const hers = await connect(app, 'ada', server.url)
  foreign.signInAs('eve')
  const his = await connect(app, 'eve', server.url)

  const notFound = { code: 'not_found' }
  await assert.rejects(connectors.credentialFor('eve', hers), notFound)
  await assert.rejects(connectors.credentialFor('nobody', hers), notFound)
  await assert.rejects(connectors.transportFor('eve', hers), notFound)
  await assert.rejects(connectors.revoke('eve', hers), notFound)
  await assert.rejects(connectors.remove('eve', hers), notFound)
  await connectors.noteError('eve', hers, 'not his to say')
  assert.deepEqual(await connectors.connections('nobody'), [])
  const [one, ...more] = await connectors.connections('ada')
  assert.equal(one?.id, hers)
  assert.equal(one?.lastError, undefined)
  assert.equal(more.length, 0)

  const [mine, other] = await Promise.all([
    connectors.credentialFor('ada', hers),
    connectors.credentialFor('eve', his),
  ])
  assert.ok(mine.kind === 'bearer' && other.kind === 'bearer')
  assert.equal((await foreign.introspect(mine.token.reveal()))['sub'], 'alice')
  assert.equal((await foreign.introspect(other.token.reveal()))['sub'], 'eve')
  app.alsoSecret(foreign.tokensIssued())
})

onEveryDatabase(
  'a user goes back to where the app says, on its own origin only, and the page is told how it ended',
  async (t, store) => {
    verifies(t, 'S1-53')
    const { foreign, server } = await startUpstream(t)
    const app = await startApp(t, store, { under: '/chat' })
    const begin = async (returnTo: string) => {
      const begun = await app.connectors.begin('ada', server.url, { returnTo, again: true })
      assert.ok('authorizeUrl' in begun)
      assert.ok(begun.authorizeUrl.startsWith(`${app.origin}/chat/connect/`))
      const page = await (await app.browserOf('ada')).open(begun.authorizeUrl)
      const { flowId, connectionId } = begun
      return { ...page, facts: new URLSearchParams({ flowId, connectionId }).toString() }
    }
    const back = await begin('/settings?tab=2&error=of+the+app')
    assert.equal(back.url, `${app.origin}/settings?tab=2&oauth=success&${back.facts}`)
    foreign.decide('deny')
    const denied = await begin('/settings')
    const words = new URL(denied.url).searchParams.get('error_description')
    assert.match(words ?? '', /^[A-Z][^<>]+\.$/)
    const told = new URLSearchParams({ error: 'access_denied', error_description: words ?? '' })
    assert.equal(
      denied.url,
      `${app.origin}/settings?oauth=error&${denied.facts}&${told.toString()}`,
    )

    foreign.decide('approve')
    const elsewhere = await begin('https://evil.example/')
    assert.match(elsewhere.url, /\/chat\/connect\/finished\/flw_/)
    assert.equal(elsewhere.headers.get('referrer-policy'), 'no-referrer')
  },
)

onEveryDatabase(
  'a sign-in that is refused is told in words, and can be tried again',
  async (t, store) => {
    const { foreign, server } = await startUpstream(t)
    const app = await startApp(t, store)
    foreign.decide('deny')
    const begun = await app.connectors.begin('ada', server.url)
    assert.ok('authorizeUrl' in begun)
    const browser = await app.browserOf('ada')
    const page = await browser.open(begun.authorizeUrl)
    assert.equal(page.status, 400)
    assert.match(page.html, /Not connected/)
    assert.match(page.html, /data-success="false"/)

    foreign.decide('approve')
    const again = await app.connectors.begin('ada', server.url)
    assert.ok('authorizeUrl' in again)
    assert.equal(again.connectionId, begun.connectionId)
    assert.match((await browser.open(again.authorizeUrl)).html, /Connected/)
  },
)

onEveryDatabase('an app answers the callback itself if it likes', async (t, store) => {
  const { server } = await startUpstream(t)
  const app = await startApp(t, store)
  const begun = await app.connectors.begin('ada', server.url)
  assert.ok('authorizeUrl' in begun)
  const browser = await app.browserOf('ada')
  browser.setStopAt((url) => url.pathname.startsWith('/connect/callback/'))
  const { url } = await browser.open(begun.authorizeUrl)
  const cookie = browser
    .cookies()
    .map(({ name, value }) => `${name}=${value}`)
    .join('; ')
  const request = new Request(url, { headers: { cookie } })

  const { connectors } = app
  await assert.rejects(connectors.finish(request, { user: 'eve' }), { code: 'state_mismatch' })
  await assert.rejects(connectors.finish(request, { user: undefined }), { code: 'state_mismatch' })
  await assert.rejects(connectors.finish(new Request(app.origin), { user: 'ada' }), {
    code: 'not_found',
  })
  const finished = await connectors.finish(request, { user: 'ada' })
  assert.equal(finished.kind, 'completed')
  assert.equal(finished.connectionId, begun.connectionId)
})

onEveryDatabase('fifty who name a new server at once make one of everything', async (t, store) => {
  const { foreign, server } = await startUpstream(t)
  const { connectors } = await startApp(t, store)
  const begun = await Promise.all(
    Array.from({ length: 50 }, () => connectors.begin('ada', server.url)),
  )
  assert.equal(new Set(begun.map(({ connectionId }) => connectionId)).size, 1)
  assert.equal((await connectors.servers.list()).length, 1)
  assert.equal((await connectors.connections('ada')).length, 1)
  const { rows } = await sql`select id from users`.execute(store.db)
  assert.equal(rows.length, 1)
  assert.ok(foreign.registrations() >= 1)
})

onEveryDatabase(
  'several connections to one server are kept apart by their labels',
  async (t, store) => {
    const { foreign, server } = await startUpstream(t)
    const app = await startApp(t, store)
    const work = await connect(app, 'ada', server.url)
    foreign.signInAs('bob')
    const begun = await app.connectors.begin('ada', server.url, { label: 'private' })
    assert.ok('authorizeUrl' in begun)
    await (await app.browserOf('ada')).open(begun.authorizeUrl)

    const subjectOf = async (connectionId: string) => {
      const credential = await app.connectors.credentialFor('ada', connectionId)
      assert.ok(credential.kind === 'bearer')
      return (await foreign.introspect(credential.token.reveal()))['sub']
    }
    assert.equal(await subjectOf(work), 'alice')
    const [known] = await app.connectors.servers.list()
    assert.equal(await subjectOf(known?.id ?? ''), 'alice')
    assert.equal(await subjectOf(begun.connectionId), 'bob')
    await app.connectors.revoke('ada', work)
    const ended = await app.connectors.credentialFor('ada', work)
    assert.deepEqual(ended, {
      kind: 'authorization_required',
      connectionId: work,
      reason: 'revoked',
    })
    assert.equal(await subjectOf(begun.connectionId), 'bob')
  },
)

onEveryDatabase(
  'a sign-in that began before a restart ends after it',
  async (t, store, openAnother) => {
    const { server } = await startUpstream(t)
    const clock = createManualClock(Date.now())
    const before = await startApp(t, store, { clock })
    const begun = await before.connectors.begin('ada', server.url)
    assert.ok('authorizeUrl' in begun)
    const browser = await before.browserOf('ada')
    browser.setStopAt((url) => url.pathname.startsWith('/connect/callback/'))
    const { url } = await browser.open(begun.authorizeUrl)

    const again = await createConnectors(
      { ...optionsOf(before), database: 'given' },
      { store: await openAnother(), clock },
    )
    t.after(again.close)
    const cookie = browser.cookies().map(({ name, value }) => `${name}=${value}`)
    const request = new Request(url, { headers: { cookie: cookie.join('; ') } })
    const finished = await again.finish(request, { user: 'ada' })
    assert.equal(finished.kind, 'completed')
    const credential = await before.connectors.credentialFor('ada', begun.connectionId)
    assert.equal(credential.kind, 'bearer')
  },
)

onEveryDatabase('providers read who asks: the app, as a public client', async (t, store) => {
  verifies(t, 'S2-9', 'S2-10')
  const { server } = await startUpstream(t)
  const app = await startApp(t, store)
  const begun = await app.connectors.begin('ada', server.url)
  assert.ok('authorizeUrl' in begun)
  const browser = await app.browserOf('ada')
  browser.setStopAt((url) => url.origin !== app.origin)
  const { url } = await browser.open(begun.authorizeUrl)
  const asked = new URL(url).searchParams
  assert.equal(asked.get('code_challenge_method'), 'S256')
  const callback = asked.get('redirect_uri') ?? ''
  const context = callback.split('/').at(-1)

  const answer = await fetch(`${app.origin}/connect/client-metadata/${context}.json`)
  assert.deepEqual(await answer.json(), {
    client_id: `${app.origin}/connect/client-metadata/${context}.json`,
    client_name: 'Chatty',
    client_uri: app.origin,
    redirect_uris: [callback],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
    application_type: 'web',
  })
  const whole = await fetch(`${app.origin}/connect/client-metadata.json`)
  assert.deepEqual(((await whole.json()) as { redirect_uris: unknown }).redirect_uris, [callback])
  const { rows } = await sql`
    select method, client_secret_sealed, token_endpoint_auth_method from registrations`.execute(
    store.db,
  )
  assert.equal(rows.length, 1)
  assert.deepEqual(Object.values(rows[0] as object), ['dcr', null, 'none'])
  assert.equal((await fetch(`${app.origin}/connect/client-metadata/nobody.json`)).status, 404)
})

onEveryDatabase('providers read the key that proves the app to them', async (t, store) => {
  verifies(t, 'S2-9', 'C10')
  const { server } = await startUpstream(t)
  const { connectors } = await startApp(t, store, { under: '/chat' })
  const { clientKey, redirectUri } = await connectors.servers.add({
    url: server.url,
    clientKey: 'generate',
  })
  assert.ok(clientKey !== undefined && redirectUri !== undefined)
  const document = await fetch(
    `${redirectUri.replace('/connect/callback/', '/connect/client-metadata/')}.json`,
  )
  const { jwksUri, ...publicKey } = clientKey
  assert.equal(((await document.json()) as { jwks_uri: unknown }).jwks_uri, jwksUri)
  const keys = await fetch(jwksUri)
  assert.equal(keys.status, 200)
  assert.deepEqual(await keys.json(), { keys: [publicKey] })
  assert.equal((await fetch(jwksUri.replace(/[^/]+\.json$/, 'nobody.json'))).status, 404)
})

onEveryDatabase(
  'a server with fixed headers, or with none, is used as before',
  async (t, store) => {
    verifies(t, 'S2-1', 'A2-12')
    const open = await startOpenMcpServer()
    const keyed = await startHeaderMcpServer({
      headerName: 'x-api-key',
      value: 'k-0123456789abcdef',
    })
    t.after(async () => {
      await open.stop()
      await keyed.stop()
    })
    const app = await startApp(t, store)
    const { connectors } = app
    const headers = { 'x-api-key': 'k-0123456789abcdef' }
    const added = await connectors.servers.add({ url: keyed.url, headers })
    assert.equal(added.auth, 'headers')
    assert.deepEqual(added.headerNames, ['x-api-key'])
    const asked = keyed.calls().length

    const begun = await connectors.begin('ada', added.id)
    assert.ok('alreadyAuthorized' in begun)
    const credential = await connectors.credentialFor('ada', begun.connectionId)
    assert.ok(credential.kind === 'headers')
    assert.equal(credential.headers['x-api-key']?.reveal(), headers['x-api-key'])
    assert.equal(keyed.calls().length, asked)

    const other = await connectors.begin('ada', open.url)
    assert.ok('alreadyAuthorized' in other)
    assert.deepEqual(await connectors.credentialFor('ada', other.connectionId), { kind: 'none' })
    const kinds = (await connectors.servers.list()).map(({ auth }) => auth)
    assert.deepEqual(kinds, ['headers', 'none'])
    app.alsoSecret([headers['x-api-key']])
  },
)

onEveryDatabase('what a sign-in needs is kept in columns of its own, sealed', async (t, store) => {
  verifies(t, 'S2-2')
  const { server } = await startUpstream(t)
  const app = await startApp(t, store)
  await connect(app, 'ada', server.url)
  const rowsOf = async (query: ReturnType<typeof sql>) => (await query.execute(store.db)).rows
  const [found] = (await rowsOf(sql`select document from discoveries`)) as [{ document: string }]
  assert.ok(found.document.includes('authorization_endpoint'))
  const [kept] = (await rowsOf(sql`select * from credentials`)) as [Record<string, string>]
  assert.match(kept['access_token_sealed'] ?? '', /^v1\./)
  assert.match(kept['refresh_token_sealed'] ?? '', /^v1\./)
  const [flow] = (await rowsOf(sql`select verifier_sealed from flows`)) as [Record<string, string>]
  assert.match(flow['verifier_sealed'] ?? '', /^v1\./)
})

onEveryEmptyDatabase(
  'an older database is brought up to date and keeps what it has',
  async (t, store) => {
    verifies(t, 'S2-1', 'S2-3')
    await migrate(store, { folder: olderMigrations(t) })
    const rows = [
      sql`insert into tenants values ('ten_1', 'default', 'http://localhost:1', 'Old', 1)`,
      sql`insert into users values ('ten_1', 'usr_1', null, 0, null, 'user', null, 1)`,
      sql`insert into identities values ('ten_1', 'urn:latchkey:app', 'ada', 'usr_1', 1)`,
      sql`insert into servers values ('ten_1', 'srv_1', 'old', 'Old', 'https://old.example/mcp',
      'none', null, '[]', null, null, null, null, 'context1', null, 1, 1)`,
      sql`insert into connections values ('ten_1', 'con_1', 'srv_1', 'usr_1', 'default',
      'disconnected', null, null, 1, 1)`,
    ]
    for (const row of rows) await row.execute(store.db)

    const app = await startApp(t, store)
    const [connection] = await app.connectors.connections('ada')
    assert.equal(connection?.id, 'con_1')
    assert.equal(connection.serverSlug, 'old')
    assert.deepEqual(await app.connectors.credentialFor('ada', 'con_1'), { kind: 'none' })
    assert.deepEqual(await migrate(store), { applied: [], pending: [] })
  },
)

/** The migrations of a version that only had the first one. */
function olderMigrations(t: TestContext): URL {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-migrations-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const name = '0001-beginning.sql'
  const all = join(import.meta.dirname, '..', '..', 'src', 'store', 'migrations')
  copyFileSync(join(all, name), join(folder, name))
  return pathToFileURL(`${folder}/`)
}

onEveryDatabase('what happens to connections is heard of by the app', async (t, store) => {
  verifies(t, 'S1-69')
  const { foreign, server } = await startUpstream(t)
  const clock = createManualClock(Date.now())
  const app = await startApp(t, store, { clock })
  const { connectors } = app
  const heard = createHearing(connectors)
  t.after(heard.stop)

  const connectionId = await connect(app, 'ada', server.url)
  const began = await heard.next()
  assert.deepEqual(
    { type: began.type, user: began.user, connectionId: began.connectionId },
    { type: 'authorizationRequired', user: 'ada', connectionId },
  )
  assert.equal((await heard.next()).type, 'authorizationCompleted')

  await clock.advance(56 * 60_000)
  await connectors.credentialFor('ada', connectionId)
  assert.equal((await heard.next()).type, 'tokenRefreshed')

  await connectors.revoke('ada', connectionId, 'done with it')
  const revoked = await heard.next()
  assert.equal(revoked.type, 'credentialsRevoked')
  assert.equal(revoked.reason, 'done with it')

  await connect(app, 'ada', server.url)
  await heard.next()
  await heard.next()
  foreign.revokeEverything()
  await clock.advance(61 * 60_000)
  const asking = connectors.credentialFor('ada', connectionId)
  await assert.rejects(asking, { code: 'provider_unreachable', retryAfterS: 30 })
  await clock.advance(30_000)
  const lost = await connectors.credentialFor('ada', connectionId)
  assert.equal(lost.kind, 'authorization_required')
  const failed = await heard.next()
  assert.equal(failed.type, 'tokenRefreshFailed')
  assert.equal(failed.requiresReauthorization, true)
  app.alsoSecret(foreign.tokensIssued())
})

onEveryDatabase('an error of a call is noted until a call succeeds', async (t, store) => {
  const { server } = await startUpstream(t)
  const app = await startApp(t, store)
  const { connectors } = app
  const connectionId = await connect(app, 'ada', server.url)
  const lastError = async () => (await connectors.connections('ada'))[0]?.lastError

  const secret = 'mcp_at_0123456789abcdefghijkl'
  await connectors.noteError(
    'ada',
    connectionId,
    new Error(`it said ${secret} ${'x'.repeat(2000)}`),
  )
  const noted = (await lastError()) ?? ''
  assert.equal(noted.length, 1000)
  assert.ok(noted.startsWith('it said [redacted] x'))
  await connectors.noteError('ada', connectionId)
  assert.equal(await lastError(), undefined)
})

onEveryDatabase(
  'a database that is a server’s is not opened, and not changed',
  async (t, store) => {
    const { platform } = await startTestPlatform(t, store, { settings: { LATCHKEY_KEY: appKey } })
    const options = { database: 'given', key: appKey, publicUrl: 'http://localhost:1' }
    await sql`delete from migrations where name <> '0001-beginning'`.execute(store.db)
    await assert.rejects(createConnectors(options, { store }), /the database of a Latchkey server/)
    const { rows } = await sql`select name from migrations`.execute(store.db)
    assert.equal(rows.length, 1)
    const tenant = await sql<{ issuer: string }>`select issuer from tenants`.execute(store.db)
    assert.equal(tenant.rows[0]?.issuer, platform.tenant.issuer)
  },
)

onEveryDatabase('the client half says in words what it cannot start with', async (_t, store) => {
  const options = { database: 'given', key: appKey, publicUrl: 'http://localhost:1' }
  const starting = (more: object) => createConnectors({ ...options, ...more }, { store })
  await assert.rejects(starting({ publicUrl: 'http://app.example.com' }), /must be https/)
  await assert.rejects(starting({ publicUrl: 'https://app.example.com/?a' }), /must be written as/)
  await assert.rejects(starting({ publicUrl: 'app' }), /must be written as/)
  await assert.rejects(starting({ key: 'short' }), /^Error: The key: /)
  const first = await starting({})
  await first.close()
  const otherKey = randomBytes(32).toString('base64url')
  await assert.rejects(starting({ key: otherKey }), /The key is not the one .* Restore that key\.$/)
  await assert.rejects(first.begin('', 'https://mcp.example.com'), { code: 'invalid_input' })
})

onEveryDatabase(
  'a server that takes the app’s own credential needs nobody’s sign-in',
  async (t, store) => {
    const client = { clientId: 'the-app', clientSecret: 'a secret that is long enough' }
    const { foreign, server } = await startUpstream(t, {
      offersRegistration: false,
      clients: [
        {
          client_id: client.clientId,
          client_secret: client.clientSecret,
          grant_types: ['client_credentials'],
          response_types: [],
          redirect_uris: [],
          scope: 'mcp:read mcp:write',
        },
      ],
    })
    const app = await startApp(t, store)
    const { connectors } = app
    const { id } = await connectors.servers.add({
      url: server.url,
      grantType: 'client_credentials',
      ...client,
    })
    const credential = await connectors.credentialFor('ada', id)
    assert.ok(credential.kind === 'bearer')
    assert.equal((await foreign.introspect(credential.token.reveal())).active, true)
    const others = await connectors.credentialFor('eve', id)
    assert.ok(others.kind === 'bearer')
    assert.equal(others.token.reveal(), credential.token.reveal())
    await assert.rejects(connectors.begin('ada', id), {
      detail: { serverId: 'Nobody signs in to this server: one connection serves everybody.' },
    })
    await assert.rejects(connectors.credentialFor('ada', 'srv_0'), { code: 'not_found' })
    app.alsoSecret([...foreign.tokensIssued(), client.clientSecret])
  },
)
