// A client of our authorization server, by hand: every step can be sent wrong. What goes out and comes back is looked at
// by the tests.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { encode } from './doors.ts'
import type { Answer, Doors, Fields } from './doors.ts'

/** Where it asks. */
export type Asked = Pick<Doors, 'ask' | 'origin'>

export interface OAuthClient {
  readonly id: string
  readonly secret?: string
  readonly redirectUri: string
}

export const redirectUri = 'https://app.test/cb'
export const otherRedirectUri = 'https://app.test/other'
export const verifier = 'v'.repeat(64)
export const challenge = createHash('sha256').update(verifier).digest('base64url')

const ordinary = {
  client_name: 'An app',
  redirect_uris: [redirectUri],
  grant_types: ['authorization_code', 'refresh_token'],
  token_endpoint_auth_method: 'none',
}

/** Registers a client; a public one with one redirect URI unless said otherwise. */
export async function register(
  { ask }: Asked,
  metadata: Readonly<Record<string, unknown>> = {},
): Promise<OAuthClient> {
  const answer = await ask({ path: '/oauth/register', json: { ...ordinary, ...metadata } })
  assert.equal(answer.status, 201, answer.text)
  const { client_id: id, client_secret: secret, redirect_uris: uris } = answer.json
  return { id, redirectUri: uris[0], ...(secret === undefined ? {} : { secret }) }
}

/** The path of a good authorization request, with these parameters instead. */
export function authorizePath(client: OAuthClient, changes: Fields = {}): string {
  const fields: Fields = {
    response_type: 'code',
    client_id: client.id,
    redirect_uri: client.redirectUri,
    code_challenge: challenge,
    code_challenge_method: 'S256',
    scope: 'mcp',
    state: 'the-state',
    ...changes,
  }
  return `/oauth/authorize?${encode(fields)}`
}

/** Asks and approves in a signed-in browser; gives the parameters of the callback. */
export async function approve(
  { origin }: Asked,
  browser: CookieBrowser,
  client: OAuthClient,
  changes: Fields = {},
): Promise<URLSearchParams> {
  browser.setStopAt((url) => url.origin !== new URL(origin).origin)
  const asked = await browser.open(origin + authorizePath(client, changes))
  const back = asked.isStopped
    ? asked
    : await browser.submit({ button: { name: 'decision', value: 'approve' } })
  assert.ok(back.isStopped, `no callback from ${back.url}: ${back.html}`)
  return new URL(back.url).searchParams
}

/** A code for this client. */
export async function obtainCode(
  doors: Asked,
  browser: CookieBrowser,
  client: OAuthClient,
  changes: Fields = {},
): Promise<string> {
  const code = (await approve(doors, browser, client, changes)).get('code')
  assert.ok(code)
  return code
}

/** Posts to the token endpoint as this client, with these parameters instead. */
export function postToken({ ask }: Asked, client: OAuthClient, fields: Fields): Promise<Answer> {
  return ask({
    path: '/oauth/token',
    form: { client_id: client.id, client_secret: client.secret, ...fields },
  })
}

/** Redeems a code; `changes` go over the parameters of a good request. */
export function redeem(
  doors: Asked,
  client: OAuthClient,
  code: string,
  changes: Fields = {},
): Promise<Answer> {
  return postToken(doors, client, {
    grant_type: 'authorization_code',
    code,
    redirect_uri: client.redirectUri,
    code_verifier: verifier,
    ...changes,
  })
}

/** Uses a refresh token; `changes` go over the parameters of a good request. */
export function refresh(
  doors: Asked,
  client: OAuthClient,
  token: string,
  changes: Fields = {},
): Promise<Answer> {
  return postToken(doors, client, {
    grant_type: 'refresh_token',
    refresh_token: token,
    ...changes,
  })
}

export interface Tokens {
  readonly accessToken: string
  readonly refreshToken: string
}

/** Tokens for this client, by the whole way. */
export async function obtainTokens(
  doors: Asked,
  browser: CookieBrowser,
  client: OAuthClient,
  changes: Fields = {},
): Promise<Tokens> {
  const answer = await redeem(doors, client, await obtainCode(doors, browser, client, changes))
  assert.equal(answer.status, 200, answer.text)
  return { accessToken: answer.json.access_token, refreshToken: answer.json.refresh_token }
}

/** A token of a program that acts for itself, made by the administrator in this browser. */
export async function obtainProgramToken(
  doors: Asked,
  browser: CookieBrowser,
  fields: Fields = {},
): Promise<string> {
  const made = await doors.ask({
    path: '/api/v1/clients',
    browser,
    json: { name: 'Robot', redirectUris: [], grantTypes: ['client_credentials'] },
    headers: { origin: doors.origin },
  })
  assert.equal(made.status, 201, made.text)
  const { id, clientSecret: secret } = made.json
  const form = { grant_type: 'client_credentials', client_id: id, client_secret: secret, ...fields }
  const answer = await doors.ask({ path: '/oauth/token', form })
  assert.equal(answer.status, 200, answer.text)
  return answer.json.access_token
}

/** Whether `/mcp` takes this access token. */
export async function isActive({ ask }: Asked, accessToken: string): Promise<boolean> {
  const { status } = await ask({
    path: '/mcp',
    headers: {
      authorization: `Bearer ${accessToken}`,
      accept: 'application/json, text/event-stream',
    },
    json: { jsonrpc: '2.0', id: 1, method: 'ping' },
  })
  assert.ok([200, 401].includes(status), `an odd status: ${status}`)
  return status === 200
}

/** A Basic header for these credentials (RFC 6749 §2.3.1). */
export function basic(id: string, secret: string): Readonly<Record<string, string>> {
  const text = `${encodeURIComponent(id)}:${encodeURIComponent(secret)}`
  return { authorization: `Basic ${Buffer.from(text).toString('base64')}` }
}
