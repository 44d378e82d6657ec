// The steps of a client and of a person in a browser, as `latchkey test-flow` takes them. Each gives what came back or
// throws in plain words; no error says a token, a code or a secret.
import { randomSecret, systemRandom } from '../base/random.ts'
import { Secret } from '../base/secret.ts'
import { createHash } from 'node:crypto'
import type { TestRun } from './test-flow-data.ts'
import type { Answer, AskServer } from './test-flow-http.ts'

export interface TestClient {
  readonly id: string
  readonly secret: Secret
}

/** What the steps need: the server, and whose they are. */
export interface Stage {
  readonly ask: AskServer
  readonly run: TestRun
}

export interface TestTokens {
  readonly access: Secret
  readonly refresh: Secret
  readonly scope: string
}

export const clientName = 'Latchkey test-flow'
const state = 'state of the test flow: ä&='

/** Registers a client with a secret (RFC 7591 §3). */
export async function register({ ask, run }: Stage): Promise<TestClient> {
  const answer = await ask({
    path: '/oauth/register',
    json: {
      client_name: clientName,
      redirect_uris: [run.redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'client_secret_post',
    },
  })
  expectStatus(answer, 201)
  expect(answer.header('cache-control').includes('no-store'), 'the answer may be cached')
  const { client_id: id, client_secret: secret } = answer.json
  expect(typeof id === 'string' && typeof secret === 'string', 'no id or no secret came back')
  return { id: String(id), secret: new Secret(String(secret)) }
}

/** A fresh verifier of PKCE with its challenge (RFC 7636 §4). */
export function createPkce() {
  const verifier = randomSecret(systemRandom)
  const challenge = createHash('sha256').update(verifier.reveal()).digest('base64url')
  return { verifier, challenge }
}

/** The path of an authorization request (RFC 6749 §4.1.1). */
export function authorizePath(
  { run }: Stage,
  client: TestClient,
  { challenge, redirectUri = run.redirectUri }: { challenge: string; redirectUri?: string },
): string {
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: client.id,
    redirect_uri: redirectUri,
    code_challenge: challenge,
    code_challenge_method: 'S256',
    state,
  })
  return `/oauth/authorize?${query.toString()}`
}

/** Asks as the signed-in person and answers the consent page, if there is one. Gives where the browser is sent. */
export async function authorize(
  stage: Stage,
  client: TestClient,
  { challenge, decision }: { readonly challenge: string; readonly decision: 'approve' | 'deny' },
): Promise<URLSearchParams> {
  const { ask, run } = stage
  const session = ['__Host-lk_session', run.session.cookie] as const
  const begun = await ask({
    path: authorizePath(stage, client, { challenge }),
    cookies: [session],
  })
  expectStatus(begun, 302)
  if (isBack(stage, begun)) return readBack(begun)
  const browser = begun.cookie('__Host-lk_browser') ?? ''
  const cookies = [session, ['__Host-lk_browser', new Secret(browser)]] as const
  const page = await ask({ path: pathOf(begun), cookies })
  expectStatus(page, 200)
  expect(page.text.includes(clientName), 'the consent page does not name the client')
  const form = {
    request: fieldOf(page, 'request'),
    form_token: fieldOf(page, 'form_token'),
    scope: fieldOf(page, 'scope'),
  }
  const answered = await ask({ path: '/oauth/consent', form: { ...form, decision }, cookies })
  expectStatus(answered, 303)
  expect(isBack(stage, answered), 'the answer did not go to the registered address')
  return readBack(answered)
}

function isBack({ run }: Stage, answer: Answer): boolean {
  return answer.header('location').startsWith(`${run.redirectUri}?`)
}

function readBack(answer: Answer): URLSearchParams {
  const query = new URL(answer.header('location')).searchParams
  expect(query.get('state') === state, 'the state came back changed')
  return query
}

/** Only our own paths are followed. */
function pathOf(answer: Answer): string {
  const { pathname, search } = new URL(answer.header('location'), 'http://latchkey.invalid')
  return pathname + search
}

function fieldOf(page: Answer, name: string): string {
  const value = new RegExp(`name="${name}" value="([^"]+)"`).exec(page.text)?.[1]
  expect(value !== undefined, `the consent page has no field ${name}`)
  return value ?? ''
}

/** A code for a new grant, with the verifier that redeems it. */
export async function obtainCode(stage: Stage, client: TestClient) {
  const { verifier, challenge } = createPkce()
  const query = await authorize(stage, client, { challenge, decision: 'approve' })
  const code = query.get('code') ?? ''
  expect(code.startsWith('auth_'), `no code came back (${query.get('error') ?? 'no error'})`)
  return { code: new Secret(code), verifier }
}

/** Redeems a code (RFC 6749 §4.1.3). */
export function redeem(
  { ask, run }: Stage,
  client: TestClient,
  { code, verifier }: { readonly code: Secret; readonly verifier: Secret },
): Promise<Answer> {
  return ask({
    path: '/oauth/token',
    form: {
      ...credentials(client),
      grant_type: 'authorization_code',
      code: code.reveal(),
      redirect_uri: run.redirectUri,
      code_verifier: verifier.reveal(),
    },
  })
}

/** Uses a refresh token (RFC 6749 §6). */
export function refresh({ ask }: Stage, client: TestClient, token: Secret): Promise<Answer> {
  const form = { grant_type: 'refresh_token', refresh_token: token.reveal() }
  return ask({ path: '/oauth/token', form: { ...credentials(client), ...form } })
}

/** The tokens of a successful answer (RFC 6749 §5.1). */
export function readTokens(answer: Answer): TestTokens {
  expectStatus(answer, 200)
  const { access_token: access, refresh_token: refresh, token_type: type, scope } = answer.json
  expect(type === 'Bearer', 'the token is no bearer token')
  expect(typeof access === 'string' && access.startsWith('mcp_at_'), 'no access token came back')
  expect(typeof refresh === 'string' && refresh.startsWith('mcp_rt_'), 'no refresh token came back')
  expect(answer.header('cache-control').includes('no-store'), 'the answer may be cached')
  return {
    access: new Secret(String(access)),
    refresh: new Secret(String(refresh)),
    scope: String(scope),
  }
}

/** Tokens of a new grant. */
export async function obtainTokens(stage: Stage, client: TestClient): Promise<TestTokens> {
  return readTokens(await redeem(stage, client, await obtainCode(stage, client)))
}

/** Lists the tools at `/mcp`. */
export function listTools({ ask }: Stage, bearer?: Secret): Promise<Answer> {
  const json = { jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }
  return ask({ path: '/mcp', json, ...(bearer === undefined ? {} : { bearer }) })
}

/** Asks what a token is worth (RFC 7662 §2). */
export async function introspect({ ask }: Stage, client: TestClient, token: Secret) {
  const form = { ...credentials(client), token: token.reveal() }
  const answer = await ask({ path: '/oauth/introspect', form })
  expectStatus(answer, 200)
  return answer.json
}

/** Revokes a token (RFC 7009 §2). */
export async function revoke({ ask }: Stage, client: TestClient, token: Secret): Promise<void> {
  const form = { ...credentials(client), token: token.reveal() }
  expectStatus(await ask({ path: '/oauth/revoke', form }), 200)
}

function credentials({ id, secret }: TestClient) {
  return { client_id: id, client_secret: secret.reveal() }
}

/** Throws in plain words unless this is so. */
export function expect(isSo: boolean, otherwise: string): void {
  if (!isSo) throw new Error(otherwise)
}

/** Throws in plain words unless the answer has this status; only its error code is repeated. */
export function expectStatus(answer: Answer, status: number, error?: string): void {
  const told = answer.json['error']
  const code = typeof told === 'string' && /^\w{1,64}$/.test(told) ? ` ${told}` : ''
  expect(
    answer.status === status && (error === undefined || told === error),
    `answered ${answer.status}${code} instead of ${status}${error === undefined ? '' : ` ${error}`}`,
  )
}
