// `latchkey doctor`: real servers and providers, and ones with one thing wrong, each with the words that say what, and the
// exit code that says whether people could connect.
import assert from 'node:assert/strict'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setDefaultCACertificates } from 'node:tls'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { createOutbound } from '../../src/base/outbound.ts'
import type { Us } from '../../src/cli/doctor-client.ts'
import { unusable } from '../../src/cli/doctor.ts'
import { textOf } from '../../src/cli/doctor-report.ts'
import { visit } from '../../src/cli/doctor-visit.ts'
import { startForeignAuthorizationServer } from '../counterparts/foreign-authorization-server.ts'
import { listenOnLoopback } from '../counterparts/loopback.ts'
import {
  startHeaderMcpServer,
  startOpenMcpServer,
  startProtectedMcpServer,
} from '../counterparts/protected-mcp-server.ts'
import { startFaultProvider } from '../fakes/fault-provider.ts'
import type { Faults } from '../fakes/fault-provider.ts'
import { auth0, entra } from '../fakes/known-manners.ts'
import { knownMcpUrl, startKnownProvider } from '../fakes/known-provider.ts'
import type { Manners } from '../fakes/known-provider.ts'
import { providersCertificate, providersKey } from '../fakes/providers-certificate.ts'
import { verifies } from '../requirements.ts'
import { openShell } from './command.ts'

setDefaultCACertificates([providersCertificate])

/** One thing that is wrong, the lines that say so, and whether people could connect all the same. */
interface Row {
  readonly faults: Partial<Faults>
  readonly ok: boolean
  readonly says: readonly RegExp[]
  readonly us?: Partial<Us>
  readonly timeMs?: number
}

/** A visit in this process, as the command makes it. */
async function visitAt(
  t: TestContext,
  url: string,
  more: {
    readonly allow?: readonly string[]
    readonly us?: Partial<Us> | undefined
    readonly timeMs?: number
  } = {},
) {
  const { allow = ['loopback'], us, timeMs = 10_000 } = more
  const outbound = createOutbound({ log: silentLog, clock: systemClock }, { allow })
  t.after(outbound.close)
  const question = { url, timeMs, register: false }
  const needs = { outbound, clock: systemClock }
  const report = await visit(needs, question, { publicUrl: 'http://localhost:8787', ...us })
  return { ok: report.ok, text: textOf(report) }
}

async function start(t: TestContext, faults: Partial<Faults> = {}) {
  const provider = await startFaultProvider(faults)
  t.after(provider.stop)
  return provider
}

test('a server in order is walked to its sign-in page, and nothing is left there', async (t) => {
  const provider = await start(t)
  const shell = await openShell(t)
  const { code, out, error } = await shell.run('doctor', provider.mcpUrl)

  assert.equal(code, 0, error)
  assert.doesNotMatch(out, /✗/)
  assert.match(out, /✓ It asks for a token: 401 with a Bearer challenge\. \(RFC 6750 §3/)
  assert.match(out, /✓ Its metadata is where its challenge says: http.*\(RFC 9728 §5\.1\)/)
  assert.match(out, /✓ It names itself as it was asked for\. \(RFC 9728 §3\.3\)/)
  assert.match(out, /byte for byte: http/)
  assert.match(out, /✓ It knows PKCE with S256/)
  assert.match(out, /✓ Latchkey registers itself at http.*\/register/)
  assert.match(out, /✓ The challenge says which are asked for: mcp/)
  assert.match(out, /Whoever presses Connect signs in at 127\.0\.0\.1:\d+, agrees there/)
  const address = new URL(/^ {2}(http\S+)$/m.exec(out)?.[1] ?? '')
  assert.equal(`${address.origin}${address.pathname}`, `${provider.origin}/authorize`)
  assert.deepEqual(Object.fromEntries(address.searchParams), {
    response_type: 'code',
    client_id: 'CLIENT_ID',
    redirect_uri: `${shell.origin}/connect/callback/CONTEXT`,
    state: 'STATE',
    code_challenge: 'CODE_CHALLENGE',
    code_challenge_method: 'S256',
    resource: provider.mcpUrl,
    scope: 'mcp',
  })
  assert.deepEqual(
    provider.requests().map(({ method, path }) => `${method} ${path}`),
    [
      'POST /mcp',
      'GET /.well-known/oauth-protected-resource/mcp',
      'GET /.well-known/oauth-authorization-server',
    ],
  )
  assert.ok(provider.requests().every(({ headers }) => headers.authorization === undefined))
})

test('the real ones are in order too: an SDK server with oidc-provider', async (t) => {
  const as = await startForeignAuthorizationServer()
  t.after(as.stop)
  const mcp = await startProtectedMcpServer({ ...as, scopes: ['mcp:read'] })
  t.after(mcp.stop)
  const shell = await openShell(t)
  const report = await shell.json('doctor', mcp.url)

  assert.equal(report.ok, true)
  assert.equal(report.url, mcp.url)
  assert.deepEqual(report.ending.kind, 'sign_in')
  assert.equal(report.ending.registration, 'dcr')
  assert.ok(report.ending.authorizationUrl.startsWith(`${as.issuer}/auth?`))
  assert.deepEqual(
    report.findings.filter(({ verdict }: { verdict: string }) => verdict === 'wrong'),
    [],
  )
  assert.ok(report.steps.every(({ host }: { host: string }) => host !== ''))
  assert.equal(as.registrations(), 0)
})

test('a server without a sign-in is told as one', async (t) => {
  const open = await startOpenMcpServer()
  t.after(open.stop)
  const shell = await openShell(t)
  const { code, out } = await shell.run('doctor', open.url)
  assert.equal(code, 0)
  assert.match(out, /! It lets a caller without a token in/)
  assert.match(out, /Nobody has to sign in: it is open to everybody/)
  assert.doesNotMatch(out, /HTTP\+SSE/)

  const keyed = await startHeaderMcpServer({ headerName: 'x-api-key', value: 'k' })
  t.after(keyed.stop)
  const told = await shell.run('doctor', keyed.url)
  assert.equal(told.code, 0)
  assert.match(told.out, /✗ It answers 401 without a WWW-Authenticate field/)
  assert.match(told.out, /a fixed API key\. Add it with --auth headers/)
})

test('a server of the older transport is named as one', async (t) => {
  verifies(t, 'S1-13')
  const older = await startOpenMcpServer({ isOlder: true })
  t.after(older.stop)

  const { ok, text } = await visitAt(t, older.url)

  assert.ok(ok)
  assert.match(text, /It speaks only the older HTTP\+SSE.*\(MCP 2024-11-05\)/)
  assert.match(text, /Nobody has to sign in: it is open to everybody/)
})

const html = { kind: 'html' } as const

/** One thing wrong at a time. */
const rows: Readonly<Record<string, Row>> = {
  '401 without a challenge': {
    faults: { answers: { mcp: { kind: 'status', status: 401 } } },
    ok: true,
    says: [
      /✗ It answers 401 without a WWW-Authenticate field.*\(RFC 9110 §15\.5\.2; RFC 6750 §3\)\n {4}The server’s operator: Send/,
      /✓ Its metadata is at the usual place: http.*\(RFC 9728 §3\.1\)/,
    ],
  },
  'a challenge of another scheme': {
    faults: {
      answers: { mcp: { kind: 'status', status: 401, headers: { 'www-authenticate': 'Basic' } } },
    },
    ok: true,
    says: [/✗ It answers 401, and its WWW-Authenticate field has no Bearer challenge/],
  },
  'a challenge that names no metadata': {
    faults: { hidesResourceMetadata: true },
    ok: true,
    says: [/! Its challenge does not name its metadata.*\(RFC 9728 §5\.1\)/],
  },
  'a challenge that names metadata by no address, and an error for nothing': {
    faults: {
      answers: {
        mcp: {
          kind: 'status',
          status: 401,
          headers: {
            'www-authenticate': 'Bearer resource_metadata="/meta", error="invalid_token"',
          },
        },
      },
    },
    ok: true,
    says: [
      /✗ Its challenge names its metadata, but not by an http\(s\) address/,
      /! Its challenge says invalid_token to a caller who sent nothing.*\(RFC 6750 §3\.1\)/,
    ],
  },
  'a wrong path': {
    faults: { answers: { mcp: { kind: 'status', status: 404 } } },
    ok: true,
    says: [/✗ It answers 404, neither a result nor 401.*\n {4}You: Check the path/],
  },
  'no metadata of the server': {
    faults: { answers: { 'resource-metadata': { kind: 'status', status: 404 } } },
    ok: true,
    says: [
      /✗ http\S+, which its challenge names, is answered 404\. \(RFC 9728 §3\.2 and §5\.1\)/,
      /✗ It publishes no metadata about itself/,
    ],
  },
  'a page where its metadata should be': {
    faults: { answers: { 'resource-metadata': html } },
    ok: true,
    says: [/✗ http\S+, which its challenge names, is a page, not JSON/],
  },
  'metadata of another server': {
    faults: { resourceMetadataFields: { resource: 'https://evil.example/mcp' } },
    ok: false,
    says: [
      /✗ Its metadata is about another server.*https:\/\/evil\.example\/mcp.*\(RFC 9728 §3\.3\)\n {4}The server’s operator: Publish "resource": "http/,
      /Nobody can connect\. In the way is: Its metadata is about another server/,
    ],
  },
  'metadata without a resource': {
    faults: { resourceMetadataFields: { resource: undefined } },
    ok: false,
    says: [/✗ http\S+: resource is missing.*\(RFC 9728 §2 and §3\.2\)/],
  },
  'no authorization server named': {
    faults: { resourceMetadataFields: { authorization_servers: [] } },
    ok: true,
    says: [/✗ It names no authorization server; one at its own origin is tried/],
  },
  'tokens that may not be sent in the field': {
    faults: { resourceMetadataFields: { bearer_methods_supported: ['query'] } },
    ok: true,
    says: [/✗ It does not take a token in the Authorization field/],
  },
  'another issuer': {
    faults: { metadataIssuer: 'https://evil.example' },
    ok: false,
    says: [
      /✗ Its metadata is of another issuer.*byte for byte.*\(RFC 8414 §3\.3; OpenID Connect Discovery §4\.3\)/,
    ],
  },
  'PKCE with plain only': {
    faults: { challengeMethods: ['plain'] },
    ok: false,
    says: [/✗ It does not say that it knows PKCE with S256.*\n {4}The provider: Publish/],
  },
  'no token endpoint': {
    faults: { metadataFields: { token_endpoint: undefined } },
    ok: false,
    says: [/✗ http\S+: token_endpoint is missing or malformed\. \(RFC 8414 §2/],
  },
  'a private address for tokens': {
    faults: { metadataFields: { token_endpoint: 'https://10.0.0.1/token' } },
    ok: false,
    says: [/✗ http\S+ leads to where .* not go \(token_endpoint: 10\.0\.0\.1 may not be reached\)/],
  },
  'an endpoint without https': {
    faults: { metadataFields: { authorization_endpoint: 'http://93.184.216.34/authorize' } },
    ok: false,
    says: [
      /✗ http\S+ leads to an address without https \(authorization_endpoint: .*\(OAuth 2\.1 §1\.5/,
      /The provider: Serve and name https only/,
    ],
  },
  'no way to become a client': {
    faults: { offersRegistration: false },
    ok: false,
    says: [
      /✗ http\S+ lets no client register itself and reads no client documents.*\n {4}You: Add the server here; that shows the redirect URI/,
    ],
  },
  'the same with a client that was made by hand': {
    faults: { offersRegistration: false },
    us: { clientId: 'made-by-hand', scopes: 'one two' },
    ok: true,
    says: [
      /! It knows Latchkey as made-by-hand, which was entered by hand/,
      /✓ Asked for are those that you named: one two/,
      /client_id=made-by-hand&/,
    ],
  },
  'documents of clients, which nobody can read on loopback': {
    faults: { metadataFields: { client_id_metadata_document_supported: true } },
    ok: true,
    says: [/! It reads client documents, but nobody can read ours at http/, /registers itself/],
  },
  'proofs that we do not have': {
    faults: { metadataFields: { token_endpoint_auth_methods_supported: ['tls_client_auth'] } },
    ok: true,
    says: [/✗ It takes only tls_client_auth for a proof of who asks/],
  },
  'tokens bound to a key, which the provider makes': {
    faults: {
      answers: {
        mcp: {
          kind: 'status',
          status: 401,
          headers: { 'www-authenticate': 'DPoP algs="ES256"' },
        },
      },
      resourceMetadataFields: { dpop_bound_access_tokens_required: true },
      metadataFields: { dpop_signing_alg_values_supported: ['ES256'] },
    },
    ok: true,
    says: [
      /✓ It asks for a token that is bound to a key: 401 with a DPoP challenge\. \(RFC 9449 §7\.1/,
      /✓ Tokens are bound to a key of Latchkey, because the server wants that\. \(RFC 9449/,
    ],
  },
  'tokens bound to a key, which the provider does not make': {
    faults: { resourceMetadataFields: { dpop_bound_access_tokens_required: true } },
    ok: false,
    says: [
      /✗ The server takes only tokens that are bound to a key, and its authorization server makes none that Latchkey can prove/,
    ],
  },
  'pushed requests only': {
    faults: { metadataFields: { require_pushed_authorization_requests: true } },
    ok: false,
    says: [/✗ It takes pushed authorization requests only.*\(RFC 9126 §5\)/],
  },
  'what a sign-in can do without': {
    faults: {
      promisesIssuer: false,
      scopes: [],
      metadataFields: {
        revocation_endpoint: undefined,
        grant_types_supported: ['authorization_code'],
        scopes_supported: undefined,
      },
    },
    ok: true,
    says: [
      /! It does not promise to name itself in its answers.*\(RFC 9207 §3; RFC 9700 §4\.4\.2\)/,
      /! It has no place to revoke tokens/,
      /! It lists no refresh tokens/,
      /! Nobody says which, so none is asked for/,
    ],
  },
  'an authorization server that lists neither code nor its grant': {
    faults: {
      metadataFields: { response_types_supported: ['id_token'], grant_types_supported: ['x'] },
    },
    ok: true,
    says: [/✗ It does not list the response type code/, /✗ It does not list the grant type auth/],
  },
  'an authorization server in trouble': {
    faults: { answers: { metadata: { kind: 'status', status: 503 } } },
    ok: false,
    says: [/✗ http\S+: is answered 503/],
  },
  'pages instead of its metadata': {
    faults: { answers: { metadata: html } },
    ok: false,
    says: [/✗ http\S+ publishes no metadata\. \(RFC 8414 §2 and §3\.2\)/],
  },
  'an authorization server that never answers': {
    faults: { answers: { metadata: { kind: 'hang' } } },
    timeMs: 500,
    ok: false,
    says: [/✗ http\S+ did not answer in time/],
  },
  'a gzip bomb': {
    faults: { answers: { 'resource-metadata': { kind: 'gzip-bomb' } } },
    ok: false,
    says: [/✗ The answer of http\S+ is not read: the answer is over 65536 bytes/],
  },
  'a connection that is cut': {
    faults: { answers: { mcp: { kind: 'reset' } } },
    ok: false,
    says: [/✗ http\S+ cannot be reached: the connection was cut/],
  },
}

test('what is wrong is said with its clause and with who can mend it', async (t) => {
  verifies(t, 'C1', 'C2', 'C3', 'C5', 'C6', 'C9', 'C13', 'C15', 'S1-24', 'S1-25')
  for (const [name, { faults, ok, says, us, timeMs = 10_000 }] of Object.entries(rows)) {
    await t.test(name, async (t) => {
      const provider = await start(t, faults)
      const told = await visitAt(t, provider.mcpUrl, { us, timeMs })
      for (const line of says) assert.match(told.text, line, told.text)
      assert.equal(told.ok, ok, told.text)
      assert.equal(provider.registrations().length, 0)
    })
  }
})

test('what strangers publish can neither forge a line nor fill the screen', async (t) => {
  verifies(t, 'X-12')
  const forged = 'x\n  ✓ All is well.\u001b[2J'
  const provider = await start(t, {
    resourceMetadataFields: { bearer_methods_supported: [forged] },
    metadataFields: {
      response_types_supported: [forged, ...Array.from({ length: 400 }, (_, index) => `t${index}`)],
      grant_types_supported: [forged],
      token_endpoint_auth_methods_supported: [forged],
    },
  })
  const { text } = await visitAt(t, provider.mcpUrl)
  assert.doesNotMatch(text, /^ *✓ All is well/m)
  assert.ok(!text.includes('\u001b'))
  const longest = Math.max(...text.split('\n').map((line) => line.length))
  assert.ok(longest < 800, `${longest}`)
})

test('the exit code says whether people could connect', async (t) => {
  const provider = await start(t, { offersRegistration: false })
  const shell = await openShell(t)
  const { code, out } = await shell.run('doctor', provider.mcpUrl)
  assert.equal(code, 1)
  assert.match(out, /^Nobody can connect\. In the way is: http\S+ lets no client register itself/m)
  const words = ['--client-id', 'made-by-hand', '--issuer', provider.issuer, '--timeout', '5']
  assert.equal((await shell.run('doctor', provider.mcpUrl, ...words)).code, 0)
})

test('of several authorization servers it says which is taken, and why not the others', async (t) => {
  verifies(t, 'C6')
  const first = await start(t, { challengeMethods: [] })
  const second = await start(t)
  const issuers = ['https://10.0.0.1', first.issuer, second.issuer]
  const server = await start(t, { resourceMetadataFields: { authorization_servers: issuers } })
  const { ok, text } = await visitAt(t, server.mcpUrl)
  assert.equal(ok, true, text)
  assert.ok(
    text.includes(`! It names 3 authorization servers, and Latchkey takes ${second.issuer}`),
  )
  assert.match(text, /✗ https:\/\/10\.0\.0\.1 leads to where Latchkey does not go/)
  assert.match(text, /✗ It does not say that it knows PKCE with S256/)
})

test('metadata that leads to another origin is followed, and told', async (t) => {
  const server = await start(t)
  const other = await start(t, {
    resourceMetadataFields: { resource: server.mcpUrl, authorization_servers: [server.issuer] },
  })
  const location = `${other.origin}/.well-known/oauth-protected-resource/mcp`
  server.set({
    answers: { 'resource-metadata': { kind: 'status', status: 302, headers: { location } } },
  })
  const { ok, text } = await visitAt(t, server.mcpUrl)
  assert.equal(ok, true, text)
  assert.ok(text.includes(`but that leads on to ${location}`), text)
})

test('an address that cannot be looked at says why', async (t) => {
  verifies(t, 'X-14')
  const gone = await listenOnLoopback(() => () => {})
  await gone.stop()
  const provider = await start(t)
  const addresses: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['https://10.0.0.1/mcp', [], /✗ .* leads to where Latchkey does not go.*\n {4}You: Use a/],
    ['https://8.8.8.8:8443/mcp', [], /port 8443 may not be reached/],
    ['http://8.8.8.8/mcp', [], /✗ .* leads to an address without https/],
    [provider.mcpUrl, [], /127\.0\.0\.1 may not be reached/],
    [`${gone.origin}/mcp`, ['127.0.0.0/8'], /nothing listens there \(ECONNREFUSED\)/],
  ]
  for (const [url, allow, says] of addresses) {
    const { ok, text } = await visitAt(t, url, { allow })
    assert.match(text, says)
    assert.equal(ok, false)
  }
  const closed = await openShell(t, { LATCHKEY_ALLOW_PRIVATE_NETWORKS: '' })
  const { code, out } = await closed.run('doctor', provider.mcpUrl, '--allow-private', 'loopback')
  assert.equal(code, 0)
  assert.match(out, /over plain http, because its network/)
})

test('a certificate that nobody vouches for is named as such', async (t) => {
  const server = createTlsServer({ cert: providersCertificate, key: providersKey }, () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo // a TCP listener has one
  const { code, out } = await (await openShell(t)).run('doctor', `https://127.0.0.1:${port}/mcp`)
  assert.equal(code, 1)
  assert.match(out, /nobody whom Node knows vouches for its certificate \(\w+\)/)
  const plain = await start(t)
  const { text } = await visitAt(t, plain.mcpUrl.replace('http:', 'https:'))
  assert.match(text, /what answers there does not speak TLS as it should/)
})

async function visitKnown(t: TestContext, manners: Manners) {
  const provider = await startKnownProvider(manners)
  t.after(provider.stop)
  const needs = { log: silentLog, clock: systemClock, ...provider.world }
  const outbound = createOutbound(needs, { allow: [] })
  t.after(outbound.close)
  const question = { url: knownMcpUrl, timeMs: 10_000, register: false }
  return visit({ outbound, clock: systemClock }, question, {
    publicUrl: 'https://latchkey.example',
    clientId: 'ours',
  })
}

test('what is done otherwise for a known provider is told with its reason', async (t) => {
  verifies(t, 'S1-27')
  const codes = async (manners: Manners) =>
    (await visitKnown(t, manners)).findings.map(({ code }) => code)
  const ofEntra = await codes(entra)
  assert.ok(ofEntra.includes('https') && ofEntra.includes('quirk_resource_left_out'))
  assert.ok((await codes(auth0)).includes('issuer_slash'))
})

test('a name without an address is told as one', async (t) => {
  const outbound = createOutbound(
    { log: silentLog, clock: systemClock, resolve: async () => [] },
    { allow: [] },
  )
  t.after(outbound.close)
  const question = { url: 'https://missing.test/mcp', timeMs: 5000, register: false }
  const us = { publicUrl: 'https://latchkey.example' }
  const report = await visit({ outbound, clock: systemClock }, question, us)
  assert.equal(report.ok, false)
  assert.equal(report.ending.kind === 'stopped' && report.ending.finding, 'name_unresolved')
})

test('a registration is tried only when told to, and taken back where that is offered', async (t) => {
  verifies(t, 'S1-28', 'S1-39')
  const deleted: (string | undefined)[] = []
  const management = await listenOnLoopback(() => (request, response) => {
    if (request.method === 'DELETE') deleted.push(request.headers.authorization)
    response.writeHead(204).end()
  })
  t.after(management.stop)
  const provider = await start(t, {
    metadataFields: { token_endpoint_auth_methods_supported: ['client_secret_basic'] },
    registrationFields: {
      registration_client_uri: `${management.origin}/reg/1`,
      registration_access_token: 'token-of-the-registration',
    },
  })
  const shell = await openShell(t)
  const { code, out } = await shell.run('doctor', provider.mcpUrl, '--register')
  assert.equal(code, 0, out)
  assert.match(
    out,
    /✓ It registered Latchkey as client-\w+, which proves itself by client_secret_b/,
  )
  assert.match(out, /✓ It deleted that again\. \(RFC 7592 §2\.3\)/)
  assert.deepEqual(deleted, ['Bearer token-of-the-registration'])
  const [registered] = provider.registrations()
  assert.deepEqual(registered?.['redirect_uris'], [`${shell.origin}/connect/callback/doctor`])
  const json = await shell.run('doctor', provider.mcpUrl, '--register', '--json')
  for (const secret of [...provider.issued(), 'token-of-the-registration']) {
    assert.ok(!out.includes(secret) && !json.out.includes(secret))
  }

  provider.set({ registrationFields: {} })
  const kept = await shell.run('doctor', provider.mcpUrl, '--register')
  assert.match(kept.out, /! It keeps client-\w+, because it offers no way to delete it/)
  provider.set({ answers: { register: { kind: 'oauth-error', error: 'invalid_redirect_uri' } } })
  const refused = await shell.run('doctor', provider.mcpUrl, '--register')
  assert.equal(refused.code, 1)
  assert.match(refused.out, /✗ It did not register Latchkey: .*400 invalid_redirect_uri/)
})

test('wrong words are 2, and help is 0', async (t) => {
  const shell = await openShell(t)
  const usual = { timeout: 30 }
  for (const [url, more] of [
    ['ftp://a.test/mcp', {}],
    ['https://u:p@a.test/mcp', {}],
    ['https://a.test/mcp#x', {}],
    ['https://a.test/mcp', { issuer: 'nonsense' }],
    ['https://a.test/mcp', { issuer: 'https://as.test/?a=b' }],
    ['https://a.test/mcp', { timeout: NaN }],
    ['https://a.test/mcp', { allowPrivate: 'everything' }],
  ] as const) {
    assert.notEqual(unusable(url, { ...usual, ...more }), undefined, url)
  }
  assert.equal(unusable('https://a.test/mcp?x=y', usual), undefined)
  for (const words of [['nonsense'], ['https://a.test/mcp', 'https://b.test/mcp'], ['--unknown']]) {
    const { code, out, error } = await shell.run('doctor', ...words)
    assert.deepEqual([code, out], [2, ''], words.join(' '))
    assert.match(error, /^error: /)
  }
  const help = await shell.run('doctor', '--help')
  assert.equal(help.code, 0)
  assert.match(help.out, /--register/)
})
