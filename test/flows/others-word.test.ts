// Servers that are reached with somebody else's word: the platform of this machine speaks for us (SEP-1933), or a person's
// identity provider for that person (enterprise-managed authorization, C32). The servers that take it check it with jose.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { generateKeyPair, jwtVerify, SignJWT } from 'jose'
import { createManualClock } from '../../src/base/clock.ts'
import type { Store } from '../../src/store/database.ts'
import { listenOnLoopback } from '../counterparts/loopback.ts'
import { startFaultProvider } from '../fakes/fault-provider.ts'
import { restAs, restWithKey, signIn, startTestPlatform } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'

const jwtBearer = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const tokenExchange = 'urn:ietf:params:oauth:grant-type:token-exchange'
const idJag = 'urn:ietf:params:oauth:token-type:id-jag'
const keys = await generateKeyPair('ES256')

interface Asked {
  readonly form: Readonly<Record<string, string>>
  readonly authorization: string | undefined
}

/** A token endpoint that answers what it is told to, and notes what it is asked. */
async function startTokenEndpoint(
  t: TestContext,
  answer: (asked: Asked) => Promise<Readonly<Record<string, unknown>>>,
) {
  const asked: Asked[] = []
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(Buffer.from(chunk as Uint8Array)) // http sends bytes
    const form = Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()))
    const one = { form, authorization: request.headers.authorization }
    asked.push(one)
    const json = await answer(one)
    response.writeHead('error' in json ? 400 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(json))
  }
  const place = await listenOnLoopback(() => (request, response) => void serve(request, response))
  t.after(place.stop)
  return { url: `${place.origin}/token`, origin: place.origin, asked }
}

async function startServer(t: TestContext) {
  const issued: string[] = []
  const endpoint = await startTokenEndpoint(t, async ({ form }) => {
    if (form['grant_type'] !== jwtBearer) return { error: 'unsupported_grant_type' }
    try {
      await jwtVerify(form['assertion'] ?? '', keys.publicKey, { audience: provider.issuer })
    } catch {
      return { error: 'invalid_grant' }
    }
    const token = `token-${randomUUID()}`
    issued.push(token)
    return { access_token: token, token_type: 'Bearer', expires_in: 3600, refresh_token: 'unasked' }
  })
  const provider = await startFaultProvider({
    offersRegistration: false,
    challengeMethods: null,
    metadataFields: { token_endpoint: endpoint.url },
  })
  t.after(provider.stop)
  return { ...endpoint, provider, issued }
}

function sign(claims: Readonly<Record<string, unknown>>, typ = 'JWT'): Promise<string> {
  return new SignJWT({ jti: randomUUID(), ...claims })
    .setProtectedHeader({ alg: 'ES256', typ })
    .sign(keys.privateKey)
}

async function startLatchkey(t: TestContext, store: Store) {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-workload-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const clock = createManualClock(Date.now())
  const settings = { LATCHKEY_WORKLOAD_TOKENS: folder }
  const { origin, alsoSecret } = await startTestPlatform(t, store, { clock, settings })
  const rest = restAs(await signIn(origin), origin)
  const scopes = ['api', 'connections:token']
  const { body: key } = await rest('POST', '/api-keys', { name: 'back end', scopes })
  return { clock, folder, alsoSecret, rest, backEnd: restWithKey(key.key, origin) }
}

onEveryDatabase(
  'what the platform says of us is read anew and goes where it is meant for',
  async (t, store) => {
    const { provider, asked, issued } = await startServer(t)
    const { clock, folder, alsoSecret, rest, backEnd } = await startLatchkey(t, store)
    const inS = (seconds: number) => Math.floor(clock.now() / 1000) + seconds
    const write = async (claims: Readonly<Record<string, unknown>>) => {
      const token = await sign({ sub: 'workload', exp: inS(600), ...claims })
      writeFileSync(join(folder, 'mcp'), `${token}\n`)
      alsoSecret([token])
      return token
    }
    const added = await rest('POST', '/servers', {
      url: provider.mcpUrl,
      grantType: 'jwt_bearer',
      clientId: 'workload',
      workloadToken: 'mcp',
    })
    assert.equal(added.status, 201, JSON.stringify(added.body))
    const { body: made } = await rest('POST', '/connections', { serverId: added.body.id })
    assert.equal(made.shared, true)
    const token = () => backEnd('POST', `/connections/${made.id}/token`)
    const wish = () => rest('POST', `/connections/${made.id}/authorize`, {})

    // Nothing of these leaves: there is none, it is for others too, for others only, or over.
    assert.equal((await wish()).body.code, 'client_configuration')
    for (const claims of [
      { aud: [provider.issuer, 'https://other.test'] },
      { aud: 'https://other.test' },
      {},
      { aud: provider.issuer, exp: inS(0) },
    ]) {
      await write(claims)
      assert.equal((await wish()).body.code, 'client_configuration')
    }
    assert.equal(asked.length, 0)

    const first = await write({ aud: provider.issuer })
    assert.deepEqual((await wish()).body, { alreadyAuthorized: true })
    assert.equal(asked[0]?.form['assertion'], first)
    assert.equal(asked[0]?.form['client_id'], 'workload')
    await clock.advance(56 * 60_000)
    const second = await write({ aud: provider.issuer })
    await token()
    assert.deepEqual(
      asked.map(({ form }) => form['assertion']),
      [first, second],
    )
    alsoSecret([...issued])
  },
)

onEveryDatabase(
  'what a company says of a person gets that person in, without a browser',
  async (t, store) => {
    verifies(t, 'C32')
    const { provider, asked, issued } = await startServer(t)
    const { clock, alsoSecret, rest, backEnd } = await startLatchkey(t, store)
    const jags: string[] = []
    const idp = await startTokenEndpoint(t, async ({ form }) => {
      const { grant_type: grant, requested_token_type: type, audience, resource } = form
      if (grant !== tokenExchange || type !== idJag) return { error: 'invalid_request' }
      const jag = await sign({ aud: audience, resource, sub: 'u-1' }, 'oauth-id-jag+jwt')
      jags.push(jag)
      return { access_token: jag, issued_token_type: idJag, token_type: 'N_A' }
    })
    const { body: added } = await rest('POST', '/servers', {
      url: provider.mcpUrl,
      grantType: 'id_jag',
      clientId: 'us-there',
      clientSecret: 'a secret there',
      identityProvider: {
        issuer: idp.origin,
        tokenEndpoint: idp.url,
        clientId: 'us-at-the-company',
        clientSecret: 'a secret at the company',
      },
    })
    assert.deepEqual(Object.keys(added.identityProvider), ['issuer', 'tokenEndpoint', 'clientId'])
    const { body: made } = await rest('POST', '/connections', { serverId: added.id })
    assert.equal(made.shared, false)
    const wish = () => rest('POST', `/connections/${made.id}/authorize`, {})
    assert.equal((await wish()).body.code, 'reauthorization_required')
    assert.equal(asked.length + idp.asked.length, 0)

    const exp = Math.floor(clock.now() / 1000) + 3 * 3600
    const idToken = await sign({ iss: idp.origin, sub: 'u-1', aud: 'us-at-the-company', exp })
    assert.equal((await rest('POST', '/identity-tokens', { idToken })).status, 403)
    const kept = await backEnd('POST', '/identity-tokens', { idToken })
    assert.deepEqual(kept.body, { issuer: idp.origin, expiresAt: exp * 1000 })
    assert.deepEqual((await wish()).body, { alreadyAuthorized: true })

    const { form, authorization } = idp.asked[0] ?? { form: {}, authorization: undefined }
    assert.equal(form['subject_token'], idToken)
    assert.equal(form['subject_token_type'], 'urn:ietf:params:oauth:token-type:id_token')
    assert.equal(form['audience'], provider.issuer)
    assert.equal(form['resource'], provider.mcpUrl)
    const basic = (pair: string) => `Basic ${Buffer.from(pair).toString('base64')}`
    assert.equal(authorization, basic('us-at-the-company:a+secret+at+the+company'))
    assert.equal(asked[0]?.form['assertion'], jags[0])
    assert.equal(asked[0]?.authorization, basic('us-there:a+secret+there'))

    // Each new token comes of a new word; when the company's is over, the person signs in there again.
    await clock.advance(56 * 60_000)
    await backEnd('POST', `/connections/${made.id}/token`)
    assert.equal(jags.length, 2)
    await clock.advance(3 * 60 * 60_000)
    const over = await backEnd('POST', `/connections/${made.id}/token`)
    assert.equal(over.body.code, 'reauthorization_required')
    assert.equal(jags.length, 2)
    for (const wrong of ['no token', await sign({ iss: idp.origin, sub: 'u-1', exp: 1 })]) {
      const refused = await backEnd('POST', '/identity-tokens', { idToken: wrong })
      assert.equal(refused.status, 422)
    }
    alsoSecret([...issued, ...jags, idToken, 'a secret at the company'])
  },
)
