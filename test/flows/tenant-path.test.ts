// A tenant without a host of its own, at `/t/{slug}` of the default tenant's: real clients find it, sign in, call and sign out
// again; its pages lead nowhere else; and nothing that only looks like its address is it.
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import type { TestContext } from 'node:test'
import * as openid from 'openid-client'
import type { Store } from '../../src/store/database.ts'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { operator, restAs, signIn, startTestPlatform } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { signInClient } from './signed-in-client.ts'

const slug = 'acme-co'

async function start(t: TestContext, store: Store) {
  const { origin, platform, alsoSecret } = await startTestPlatform(t, store)
  const browser = await signIn(origin)
  const home = restAs(browser, origin)
  const issuer = `${origin}/t/${slug}`
  const made = await home('POST', '/tenants', { slug, issuer, name: 'Acme' })
  assert.equal(made.status, 201, JSON.stringify(made.body))
  const link = await home('POST', `/tenants/${made.body.id}/setup-link`, {})
  assert.ok(link.body.url.startsWith(`${issuer}/setup?`), link.body.url)
  alsoSecret([new URL(link.body.url).searchParams.get('link') ?? ''])
  // One browser, one address, two people: one of each tenant.
  await browser.open(link.body.url)
  const landed = await browser.submit({ fields: operator })
  assert.equal(landed.url, `${issuer}/console/connections`)
  return {
    origin,
    platform,
    issuer,
    browser,
    home,
    acme: restAs(browser, issuer),
    id: made.body.id,
  }
}

for (const era of ['legacy', 'modern'] as const) {
  onEveryDatabase(`a ${era} client finds it, signs in and calls`, async (t, store) => {
    verifies(t, 'S4-15', 'S4-16', 'S4-17', 'S4-18', 'S4-45', 'A4-4', 'A4-6')
    const { origin, issuer, browser, home, acme } = await start(t, store)
    const library = await startOpenMcpServer({})
    t.after(() => library.stop())
    const server = { url: library.url, slug: 'notes', auth: 'none' }
    assert.equal((await acme('POST', '/servers', server)).status, 201)
    assert.equal((await home('GET', '/servers')).body.items.length, 0)

    const url = `${issuer}/notes/mcp`
    const signedIn = await signInClient({ origin: issuer, url, era, browser })
    const { client, tokens, authorizeUrls } = signedIn
    t.after(() => client.close())
    assert.ok(authorizeUrls().every((one) => one.startsWith(`${issuer}/oauth/authorize?`)))
    assert.match(
      JSON.stringify(await client.callTool({ name: 'echo', arguments: { text: 'hi' } })),
      /hi/,
    )

    const all = await signInClient({ origin: issuer, url: `${issuer}/mcp`, era, browser })
    t.after(() => all.client.close())
    const { structuredContent } = await all.client.callTool({ name: 'whoami', arguments: {} })
    assert.deepEqual((structuredContent as { tenant: string }).tenant, slug)

    const token = tokens()?.access_token ?? ''
    const authorization = `Bearer ${token}`
    for (const [at, status] of [
      [url, 200],
      [`${origin}/notes/mcp`, 404],
      [`${origin}/mcp`, 401],
      [`${issuer}/mcp`, 401],
    ] as const) {
      const answer = await fetch(at, {
        method: 'POST',
        headers: {
          authorization,
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
        },
        body: '{"jsonrpc":"2.0","id":1,"method":"ping"}',
      })
      await answer.body?.cancel()
      assert.equal(answer.status, status, at)
      if (status !== 401) continue
      const document = at.replace(origin, `${origin}/.well-known/oauth-protected-resource`)
      assert.ok(answer.headers.get('www-authenticate')?.includes(`resource_metadata="${document}"`))
      const { resource, authorization_servers: servers } = await json(document)
      assert.deepEqual([resource, servers], [at, [at.slice(0, -'/mcp'.length)]])
    }
  })
}

onEveryDatabase('openid-client signs in there, renews and revokes', async (t, store) => {
  verifies(t, 'S4-15', 'A4-4')
  const { issuer, browser, origin } = await start(t, store)
  const overHttp = { execute: [openid.allowInsecureRequests] } // loopback only
  for (const algorithm of ['oidc', 'oauth2'] as const) {
    const redirectUri = `https://app.test/${algorithm}`
    const metadata = {
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'none',
      id_token_signed_response_alg: 'ES256',
    }
    const at = new URL(issuer)
    const options = { ...overHttp, algorithm }
    const config = await openid.dynamicClientRegistration(at, metadata, openid.None(), options)
    assert.equal(config.serverMetadata().issuer, issuer)
    const verifier = openid.randomPKCECodeVerifier()
    const url = openid.buildAuthorizationUrl(config, {
      redirect_uri: redirectUri,
      scope: 'openid mcp',
      code_challenge: await openid.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state: 'the-state',
    })
    browser.setStopAt((target) => target.origin !== origin)
    await browser.open(url.href)
    const back = await browser.submit({ button: { name: 'decision', value: 'approve' } })
    const checks = { pkceCodeVerifier: verifier, expectedState: 'the-state', idTokenExpected: true }
    const tokens = await openid.authorizationCodeGrant(config, new URL(back.url), checks)
    assert.equal(tokens.claims()?.iss, issuer)
    const renewed = await openid.refreshTokenGrant(config, tokens.refresh_token ?? '')
    const { sub = '' } = tokens.claims() ?? {}
    assert.equal((await openid.fetchUserInfo(config, renewed.access_token, sub)).sub, sub)
    await openid.tokenRevocation(config, renewed.refresh_token ?? '')
    await assert.rejects(openid.refreshTokenGrant(config, renewed.refresh_token ?? ''))
  }
})

onEveryDatabase(
  'every link of its pages stays in it, and signing out there is signing out there alone',
  async (t, store) => {
    verifies(t, 'S4-10', 'S4-45')
    const { issuer, browser, home, acme, origin, id } = await start(t, store)
    const server = {
      url: 'http://127.0.0.1:9/mcp',
      slug: 'notes',
      auth: 'headers',
      headers: { 'x-key': 'x' },
    }
    assert.equal((await acme('POST', '/servers', server)).status, 201)
    const provider = {
      kind: 'oauth2',
      name: 'Company',
      issuer: 'http://127.0.0.1:9',
      clientId: 'us',
      authorizationEndpoint: 'http://127.0.0.1:9/authorize',
      tokenEndpoint: 'http://127.0.0.1:9/token',
      userinfoEndpoint: 'http://127.0.0.1:9/userinfo',
    }
    const made = await acme('POST', '/providers', provider)
    assert.equal(made.body.redirectUri, `${issuer}/sign-in/company/callback`)
    const seen = await crawl(browser, [`${issuer}/`, `${issuer}/device`, `${issuer}/sign-in`])
    const base = `/t/${slug}`
    for (const target of seen.targets) assert.ok(target.startsWith(`${base}/`), target)
    for (const page of [
      'connections',
      'apps',
      'clients',
      'providers',
      `providers/${made.body.id}`,
      'support',
    ]) {
      assert.ok(seen.pages.includes(`${base}/console/${page}`), page)
    }

    await browser.open(`${issuer}/console/connections`)
    const out = await browser.submit({ button: 'Sign out' })
    assert.ok(out.url.startsWith(`${issuer}/`), out.url)
    assert.equal((await acme('GET', '/servers')).status, 401)
    assert.equal((await home('GET', '/servers')).status, 200)
    await browser.open(`${origin}/console/connections`)
    assert.equal(browser.current().url, `${origin}/console/connections`)

    // Who comes signed out is led to sign in and back, to the same place.
    const stranger = createCookieBrowser()
    await stranger.open(`${issuer}/console/clients`)
    assert.equal(new URL(stranger.current().url).pathname, `${base}/sign-in`)
    assert.equal((await stranger.submit({ fields: operator })).url, `${issuer}/console/clients`)

    assert.equal((await home('PATCH', `/tenants/${id}`, { disabled: true })).status, 200)
    const [off, nobodys] = [
      await words(`${issuer}/sign-in`),
      await words(`${origin}/t/nobody-co/sign-in`),
    ]
    assert.deepEqual(off, nobodys)
    assert.equal(off.status, 404)
  },
)

onEveryDatabase(
  'nothing that only looks like its address is it [X-18] [X-26]',
  async (t, store) => {
    verifies(t, 'X-18', 'X-26', 'A4-4')
    const { issuer, origin } = await start(t, store)
    const { host, port } = new URL(origin)
    const document = '/.well-known/oauth-authorization-server'
    for (const [target, whose] of [
      [`/t/${slug}${document}`, issuer],
      [`${document}/t/${slug}`, issuer],
      [`/.well-known/openid-configuration/t/${slug}`, issuer],
      [`/t/${slug}/.well-known/openid-configuration`, issuer],
      [document, origin],
      [`/T/${slug}${document}`, undefined],
      [`/t/${slug.toUpperCase()}${document}`, undefined],
      [`/t//${slug}${document}`, undefined],
      [`//t/${slug}${document}`, undefined],
      [`/t/${slug}/${document}`, undefined],
      [`/t/${slug}%2f.well-known/oauth-authorization-server`, undefined],
      [`/t/%61cme-co${document}`, undefined],
      [`/%74/${slug}${document}`, undefined],
      [`/t/${slug}/..${document}`, undefined],
      [`/t/${slug}/%2e%2e/${slug}${document}`, undefined],
      [`/t/other-co/../${slug}${document}`, undefined],
      [`/t/${slug};x${document}`, undefined],
      [`/t/${slug}\\x${document}`, undefined],
      [`/t/${slug}${document}/t/${slug}`, undefined],
      [`/t/${slug}/t/${slug}${document}`, undefined],
      [`/t/nobody-co${document}`, undefined],
      [`/t/default${document}`, undefined],
      [`${document}/t/${slug}/x`, undefined],
    ] as const) {
      await t.test(target, async () => {
        const text = await raw(
          Number(port),
          `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
        )
        const found = /"issuer":"([^"]+)"/.exec(text)?.[1]
        assert.equal(found, whose, text.slice(0, 300))
        if (whose === undefined) assert.match(text, /^HTTP\/1.1 40[04] /)
      })
    }
  },
)

/** Opens every page that leads to another; gives where they were, and every address that any of them names. */
async function crawl(browser: CookieBrowser, from: readonly string[]) {
  const [open, pages, targets] = [[...from], new Set<string>(), new Set<string>()]
  browser.setStopAt(() => false)
  for (let next = open.pop(); next !== undefined && pages.size < 60; next = open.pop()) {
    const { url, html, status } = await browser.open(next)
    const { origin, pathname } = new URL(url)
    assert.equal(status, 200, url)
    pages.add(pathname)
    for (const [, , target = ''] of html.matchAll(/ (href|action|src)="([^"]*)"/g)) {
      const to = new URL(target.replaceAll('&amp;', '&'), url)
      if (to.origin !== origin) continue
      targets.add(to.pathname)
      const isLink = html
        .split('<a ')
        .some((rest) => rest.split('>', 1)[0]?.includes(`"${target}"`))
      if (isLink && !pages.has(to.pathname)) open.push(to.href)
    }
  }
  return { pages: [...pages], targets: [...targets] }
}

async function json(url: string) {
  return (await (await fetch(url)).json()) as Record<string, unknown>
}

async function words(url: string) {
  const answer = await fetch(url)
  return { status: answer.status, text: await answer.text() }
}

function raw(port: number, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
    socket.on('error', reject)
    socket.on('close', () => resolve(text))
    socket.write(request)
  })
}
