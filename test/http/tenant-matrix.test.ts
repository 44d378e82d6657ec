// Two tenants behind one listener, and every row there is: what one tenant gave out opens no door of the other, and an id of
// the other is an id of nobody (threats ). A new row is in here as soon as it is served.
import assert from 'node:assert/strict'
import type { Store } from '../../src/store/database.ts'
import { connect } from 'node:net'
import type { Route } from '../../src/http/route.ts'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { rows } from '../described-answers.ts'
import { operator, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { addPerson, ask, assertAnswer, callAs, cookiesOf, errorOf, openDoorsOn } from './doors.ts'
import type { Answer, Ask, Call, Doors } from './doors.ts'
import { isActive, obtainCode, obtainTokens, redeem, refresh, register } from './oauth-client.ts'
import type { Asked, OAuthClient, Tokens } from './oauth-client.ts'

/** One tenant with an administrator who is signed in, and everything that it gave out. */
interface House extends Asked {
  readonly browser: CookieBrowser
  readonly call: Call
  readonly client: OAuthClient
  readonly tokens: Tokens
  readonly key: string
  /** A key for the rows that want a scope of their own. */
  readonly scopedKey: string
}

const nameOf = ({ method, path }: Pick<Route, 'method' | 'path'>) => `${method} ${path}`
const filled = (path: string, value: string) => path.replaceAll(/\{\w+\}/g, value)

async function openHouse(doors: Doors, origin: string, browser: CookieBrowser): Promise<House> {
  const asked = { origin, ask: (request: Ask) => ask(origin, request) }
  const call = callAs({ ...doors, ...asked }, browser)
  const client = await register(asked)
  const tokens = await obtainTokens(asked, browser, client)
  browser.setStopAt(() => false)
  const keyOf = async (scopes: readonly string[]): Promise<string> =>
    (await call('POST', '/api-keys', { name: 'x', scopes })).json.key
  const keys = { key: await keyOf(['api']), scopedKey: await keyOf(['connections:token']) }
  return { ...asked, browser, call, client, tokens, ...keys }
}

/** Where a tenant may be, beside the default one. */
const issuers = {
  'at a host of its own': (origin: string) => origin.replace('localhost', 'acme.localhost'),
  'at a path': (origin: string) => `${origin}/t/acme-co`,
}
type Where = keyof typeof issuers
const wheres = Object.keys(issuers) as readonly Where[] // its own keys

/** The default tenant with its operator, and another one with its administrator. */
async function openHouses(doors: Doors, where: Where = 'at a host of its own') {
  const issuer = issuers[where](doors.origin)
  const home = await openHouse(doors, doors.origin, await signIn(doors.origin))
  const made = await home.call('POST', '/tenants', { slug: 'acme-co', issuer })
  const link = await home.call('POST', `/tenants/${made.json.id}/setup-link`, {})
  doors.alsoSecret([new URL(link.json.url).searchParams.get('link') ?? ''])
  const browser = createCookieBrowser()
  await browser.open(link.json.url)
  await browser.submit({ fields: { email: 'eve@example.com', password: operator.password } })
  return { home, acme: await openHouse(doors, issuer, browser), tenantId: made.json.id as string }
}

/** A request for a row, as anybody may send it. */
function requestFor({ method, path, guard }: Route, headers: Ask['headers'] = {}): Ask {
  const isForm = guard === 'client'
  const body = isForm ? { form: { token: 'x', grant_type: 'refresh_token' } } : { json: {} }
  const isWrite = ['POST', 'PUT', 'PATCH'].includes(method)
  return { path: filled(path, 'x'), method, ...(isWrite ? body : {}), headers }
}

for (const where of wheres) {
  onEveryDatabase(
    `what one tenant gave out is nobody’s at every door of the other, ${where} [X-17] [X-18] [X-25]`,
    async (t, store) => {
      const doors = await openDoorsOn(t, store)
      const { home, acme } = await openHouses(doors, where)
      for (const [own, other] of [
        [home, acme],
        [acme, home],
      ] as const) {
        for (const row of rows) {
          await t.test(`${nameOf(row)} at ${own === home ? 'home' : 'the other'}`, async (t) => {
            verifies(t, 'A4-6', 'S4-45')
            for (const [credential, madeUp] of strangersOf(other)) {
              const asWho = (headers: Credential) =>
                own.ask(requestFor(row, { origin: new URL(own.origin).origin, ...headers }))
              const [answer, asNobody] = [await asWho(credential), await asWho(madeUp)]
              assert.deepEqual(
                [answer.status, errorOf(answer)],
                [asNobody.status, errorOf(asNobody)],
                `${Object.keys(credential).join()}: ${answer.text.slice(0, 200)}`,
              )
              assert.ok(!answer.text.includes('eve@example.com'), 'it knows nobody')
              assert.ok(!answer.text.includes(operator.email), 'it knows nobody')
            }
          })
        }
      }
    },
  )
}

type Credential = Readonly<Record<string, string>>

/** What the other tenant gave out, each beside one of its kind that nobody gave out. */
function strangersOf(other: House): readonly (readonly [Credential, Credential])[] {
  const cookie = cookiesOf(other.browser)
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
  // The same under the names that cookies have there.
  const renamed = cookie.includes('_acme-co=')
    ? cookie.replaceAll('_acme-co=', '=')
    : cookie.replaceAll(/(__Host-lk_\w+)=/g, '$1_acme-co=')
  return [
    [{ cookie }, { cookie: madeUpLike(cookie) }],
    [{ cookie: renamed }, { cookie: madeUpLike(renamed) }],
    [bearer(other.key), bearer(madeUpLike(other.key))],
    [bearer(other.tokens.accessToken), bearer(madeUpLike(other.tokens.accessToken))],
  ]
}

/** The same with another end of every value. */
function madeUpLike(text: string): string {
  return text.replaceAll(/[\w-]{8}(?=;|$)/g, '00000000')
}

/** Bodies that the shapes of rows ask for, so that the id is what is looked at. */
const bodies: Readonly<Record<string, unknown>> = {
  'POST /api/v1/trusted-issuers/{id}/identities': { subject: 'x', userId: 'usr_x' },
  'PATCH /api/v1/connections/{id}': { shared: true },
  'POST /api/v1/connections/{id}/exchange': { state: 'x', redirectUri: 'https://app.test/cb' },
}

onEveryDatabase(
  'an id of another tenant is an id of nobody, for whoever asks [X-25] [P-80] [P-113]',
  async (t, store) => {
    const doors = await openDoorsOn(t, store)
    const { home, acme, tenantId } = await openHouses(doors)
    const ids = await fillHouse(acme, { store, tenantId })
    const kinds = Object.keys(ids)
    const withId = rows.filter(
      ({ path, guard }) =>
        path.startsWith('/api/v1/') && path.includes('{') && guard !== 'operator',
    )
    for (const row of withId) {
      await t.test(nameOf(row), async (t) => {
        verifies(t, 'A4-6', 'S4-45', 'X-25', 'P-113')
        const kind = row.path.split('/')[3] ?? ''
        assert.ok(kinds.includes(kind), `no id of ${kind} to try: add one to fillHouse`)
        const theirs = ids[kind] ?? ''
        const nobodys = `${theirs.slice(0, -4)}0000`
        const [answer, none] = [
          await askWithId(home, row, theirs),
          await askWithId(home, row, nobodys),
        ]
        assertAnswer(answer, { status: 404, error: 'not_found' })
        const textOf = (of: Answer, id: string) => of.text.replaceAll(id, '')
        assert.equal(textOf(answer, theirs), textOf(none, nobodys))
      })
    }
    // All of it is still there for those whose it is.
    for (const kind of ['servers', 'connections', 'clients', 'webhooks', 'trusted-issuers']) {
      assertAnswer(await acme.call('GET', `/${kind}/${ids[kind]}`), { status: 200 })
    }
    // What an administrator here could attach of there: a server for a connection, a person for a server.
    const attach = await home.call('POST', '/connections', { serverId: ids['servers'] })
    assertAnswer(attach, { status: 404, error: 'not_found' })
    assertAnswer(await acme.call('GET', `/tenants/${tenantId}`), { status: 403 })
  },
)

/** One of everything that has an id, by the word of its path. */
async function fillHouse(
  { call, client }: House,
  { store, tenantId }: { readonly store: Store; readonly tenantId: string },
): Promise<Readonly<Record<string, string>>> {
  const server = await call('POST', '/servers', {
    url: 'http://127.0.0.1:9/mcp',
    slug: 'notes',
    auth: 'headers',
    headers: { 'x-key': 'x' },
  })
  assertAnswer(server, { status: 201 })
  const serverId: string = server.json.id
  const make = async (path: string, input: unknown): Promise<string> => {
    const made = await call('POST', path, input)
    assertAnswer(made, { status: 201 })
    return made.json.id ?? made.json.name
  }
  const grants = await call('GET', '/grants')
  const keys = await call('GET', '/api-keys')
  return {
    servers: serverId,
    connections: await make('/connections', { serverId }),
    clients: client.id,
    grants: grants.json.items[0].id,
    'api-keys': keys.json.items[0].id,
    webhooks: await make('/webhooks', { url: 'http://127.0.0.1:9/', eventTypes: ['*'] }),
    scopes: await make('/scopes', { name: 'acme:read', words: 'Read' }),
    'trusted-issuers': await make('/trusted-issuers', {
      issuer: 'http://127.0.0.1:9',
      jwksUri: 'http://127.0.0.1:9/jwks',
    }),
    flows: 'flw_0123456789abcdefghij',
    users: await make('/users', { email: 'bob@example.com' }),
    providers: await make('/providers', provider),
    'support-requests': await askForHelp(store, tenantId),
    'call-contents': await keepContent(store, tenantId),
  }
}

/** A provider whose addresses are given, so that nobody is asked. */
const provider = {
  kind: 'oauth2',
  name: 'Acme',
  issuer: 'http://127.0.0.1:9',
  clientId: 'us',
  authorizationEndpoint: 'http://127.0.0.1:9/authorize',
  tokenEndpoint: 'http://127.0.0.1:9/token',
  userinfoEndpoint: 'http://127.0.0.1:9/userinfo',
}

/** What a person asks for through an app; how that is done is not what is tried here. */
async function askForHelp({ db }: Store, tenantId: string): Promise<string> {
  const { id: userId } = await db
    .selectFrom('users')
    .select('id')
    .where('tenant_id', '=', tenantId)
    .executeTakeFirstOrThrow()
  const id = 'sr_0123456789abcdefghij'
  await db
    .insertInto('support_requests')
    .values({
      tenant_id: tenantId,
      id,
      user_id: userId,
      client_id: 'x',
      title: 'x',
      description: 'x',
      context: null,
      email: null,
      email_verified: 0,
      status: 'pending',
      priority: 'medium',
      created_at: 0,
      updated_at: 0,
    })
    .execute()
  return id
}

/** What somebody said in a call, while every tenant keeps that; it is sealed under a key of nobody's. */
async function keepContent({ db }: Store, tenantId: string): Promise<string> {
  await db.updateTable('tenants').set({ call_content_days: 90 }).execute()
  const id = 'cnt_0123456789abcdefghij'
  await db
    .insertInto('call_contents')
    .values({
      tenant_id: tenantId,
      id,
      user_id: null,
      client_id: 'x',
      server_id: 'x',
      server: 'notes',
      method: 'tools/call',
      tool: null,
      status: 200,
      duration_ms: 0,
      input_sealed: 'v1.x.x',
      input_cut: 0,
      output_sealed: null,
      output_cut: 0,
      created_at: Date.now(),
    })
    .execute()
  return id
}

function askWithId(house: House, row: Route, id: string): Promise<Answer> {
  const { method } = row
  const body = bodies[nameOf(row)] ?? {}
  const path = filled(row.path, id).replace('/api/v1', '')
  const json = ['POST', 'PUT', 'PATCH'].includes(method) ? body : undefined
  const scoped = { authorization: `Bearer ${house.scopedKey}` }
  return house.call(method, path, json, row.keyScope === undefined ? {} : scoped)
}

for (const where of wheres) {
  onEveryDatabase(
    `codes, tokens, clients and flows of one tenant are refused by the other ${where}, and keys differ [P-80] [P-113]`,
    async (t, store) => {
      verifies(t, 'A4-6', 'S4-45', 'A4-4', 'P-80', 'P-113')
      const doors = await openDoorsOn(t, store)
      const { home, acme } = await openHouses(doors, where)
      for (const [own, other] of [
        [home, acme],
        [acme, home],
      ] as const) {
        const code = await obtainCode(other, other.browser, other.client)
        const stolen = await redeem(own, own.client, code)
        assertAnswer(stolen, { status: 400, error: 'invalid_grant' })
        assertAnswer(await redeem(own, other.client, code), {
          status: 401,
          error: 'invalid_client',
        })
        const refreshed = await refresh(own, own.client, other.tokens.refreshToken)
        assertAnswer(refreshed, { status: 400, error: 'invalid_grant' })
        assert.equal(await isActive(own, other.tokens.accessToken), false)
        assert.equal(await isActive(own, own.tokens.accessToken), true)
        const authorize = await own.ask({ path: `/oauth/authorize?client_id=${other.client.id}` })
        assertAnswer(authorize, { status: 400, hasNot: ['location'] })
        // None of that has used anything up where it belongs.
        assertAnswer(await redeem(other, other.client, code), { status: 200 })
        const metadata = (await own.ask({ path: '/.well-known/oauth-authorization-server' })).json
        assert.equal(metadata.issuer, own.origin)
        const resource = (await own.ask({ path: '/.well-known/oauth-protected-resource/mcp' })).json
        assert.deepEqual(resource.authorization_servers, [own.origin])
      }
      const kidsOf = async (house: House): Promise<readonly string[]> =>
        (await house.ask({ path: '/oauth/jwks' })).json.keys.map(({ kid }: { kid: string }) => kid)
      const ofAcme = await kidsOf(acme)
      assert.ok(ofAcme.length > 0)
      assert.deepEqual(
        (await kidsOf(home)).filter((kid) => ofAcme.includes(kid)),
        [],
      )
    },
  )
}

for (const where of wheres) {
  onEveryDatabase(
    `a person of one tenant cannot sign in at the other ${where}`,
    async (t, store) => {
      verifies(t, 'S4-10', 'S4-45')
      const doors = await openDoorsOn(t, store)
      const { home, acme } = await openHouses(doors, where)
      await addPerson(doors, 'bob@example.com')
      for (const [house, email] of [
        [acme, operator.email],
        [acme, 'bob@example.com'],
        [home, 'eve@example.com'],
      ] as const) {
        const browser = await signIn(house.origin, { ...operator, email })
        assert.equal(browser.current().status, 401, email)
      }
    },
  )
}

onEveryDatabase(
  'whose host it is decides the Host alone, as it stands in the issuer [X-18] [X-26] [row 40]',
  async (t, store) => {
    verifies(t, 'S4-15', 'A4-4')
    const doors = await openDoorsOn(t, store)
    const { acme, home } = await openHouses(doors)
    const { hostname, port, host } = new URL(acme.origin)
    const path = '/.well-known/oauth-authorization-server'
    // Behind a proxy, without a port: what a URL leaves out is not left out of a Host.
    await home.call('POST', '/tenants', { slug: 'near-co', issuer: 'https://near.test' })
    for (const [near, status] of [
      ['near.test', 200],
      ['near.test:80', 421],
      ['near.test:443', 421],
    ] as const) {
      assertAnswer(await home.ask({ path, headers: { host: near } }), { status })
    }
    for (const [name, hosts, target, status] of [
      ['as it is', [host], path, 200],
      ['in capitals', [host.toUpperCase()], path, 200],
      ['another port', [`${hostname}:1`], path, 421],
      ['no port', [hostname], path, 421],
      ['the port of http', [`${hostname}:80`], path, 421],
      ['a dot at its end', [`${hostname}.:${port}`], path, 421],
      ['a label more', [`x.${host}`], path, 421],
      ['another name', ['evil.test'], path, 421],
      ['none', [], path, 400],
      ['empty', [''], path, 400],
      ['two', [host, host], path, 400],
      ['two others', [host, new URL(doors.origin).host], path, 400],
      ['with a user', [`a@${host}`], path, 400],
      ['with a path', [`${host}/t`], path, 400],
      ['with a space', [`${hostname} :${port}`], path, 400],
      ['two in one', [`${host}, ${host}`], path, 400],
      ['with the target naming one', [host], `http://${new URL(doors.origin).host}${path}`, 400],
      ['with a target of two slashes', [host], `//${host}${path}`, 400],
      ['another port, at the gateway', [`${hostname}:1`], '/notes/mcp', 421],
      ['a dot, at the gateway', [`${hostname}.:${port}`], '/notes/mcp', 421],
      ['the port of http, at the gateway', [`${hostname}:80`], '/notes/mcp', 421],
    ] as const) {
      await t.test(name, async () => {
        const fields = hosts.map((value) => `Host: ${value}\r\n`).join('')
        const forged = `X-Forwarded-Host: ${host}\r\nForwarded: host=${host}\r\n`
        const answer = await rawAnswer(
          Number(port),
          `GET ${target} HTTP/1.1\r\n${fields}${forged}Connection: close\r\n\r\n`,
        )
        assert.match(answer, new RegExp(`^HTTP/1.1 ${status} `))
        if (status === 200) assert.ok(answer.includes(`"issuer":"${acme.origin}"`), answer)
        else assert.ok(!answer.includes('"issuer"'), answer)
      })
    }
  },
)

function rawAnswer(port: number, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
    socket.on('error', reject)
    socket.on('close', () => resolve(text))
    socket.write(request)
  })
}
