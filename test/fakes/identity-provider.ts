// Owns a small provider of identities that can be told to say wrong things about people: ID tokens by whoever, for whomever,
// and userinfo of any shape. It signs whoever comes in at once.
import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import type { JWK, JWTHeaderParameters, JWTPayload } from 'jose'
import { listenOnLoopback } from '../counterparts/loopback.ts'
import { sendJson } from './bad-answer.ts'

/** What it says; tests change it between two sign-ins. */
export interface Said {
  claims: (usual: JWTPayload) => JWTPayload
  header: Partial<JWTHeaderParameters>
  userInfo: unknown
  emails: unknown
}

export interface IdentityProvider {
  readonly origin: string
  readonly said: Said
  /** Signs with a new key from now on, and publishes only that one. */
  readonly rotate: (alg?: string) => Promise<void>
  readonly keyFetches: () => number
  readonly stop: () => Promise<void>
}

interface State {
  readonly said: Said
  key: {
    readonly alg: string
    readonly kid: string
    readonly private: CryptoKey
    readonly jwk: JWK
  }
  keyFetches: number
  nonce: string
}

const accessToken = 'an-access-token-of-the-fake-provider'

/** Starts it. */
export async function startIdentityProvider(): Promise<IdentityProvider> {
  const state: State = {
    said: { claims: (usual) => usual, header: {}, userInfo: {}, emails: [] },
    key: await newKey('RS256'),
    keyFetches: 0,
    nonce: '',
  }
  const { origin, stop } = await listenOnLoopback((own) => (request, response) => {
    answer(own, state, request, response).catch((error: unknown) => {
      response.writeHead(500).end(String(error))
    })
  })
  return {
    origin,
    said: state.said,
    rotate: async (alg = 'RS256') => void (state.key = await newKey(alg)),
    keyFetches: () => state.keyFetches,
    stop,
  }
}

let keys = 0

async function newKey(alg: string): Promise<State['key']> {
  keys += 1
  const pair = await generateKeyPair(alg, { extractable: true })
  const kid = `fake-${keys}`
  const jwk = { ...(await exportJWK(pair.publicKey)), kid, alg, use: 'sig' }
  return { alg, kid, private: pair.privateKey, jwk }
}

async function answer(
  origin: string,
  state: State,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', origin)
  switch (url.pathname) {
    case '/.well-known/openid-configuration':
      return sendJson(response, 200, metadata(origin))
    case '/jwks':
      state.keyFetches += 1
      return sendJson(response, 200, { keys: [state.key.jwk] })
    case '/authorize':
      return sendBack(state, url, response)
    case '/token':
      return sendJson(response, 200, {
        access_token: accessToken,
        token_type: 'Bearer',
        expires_in: 3600,
        id_token: await idToken(origin, state),
      })
    case '/userinfo':
      return sendJson(response, 200, state.said.userInfo)
    case '/emails':
      return sendJson(response, 200, state.said.emails)
    default:
      return sendJson(response, 404, {})
  }
}

function metadata(origin: string) {
  return {
    issuer: origin,
    authorization_endpoint: `${origin}/authorize`,
    token_endpoint: `${origin}/token`,
    userinfo_endpoint: `${origin}/userinfo`,
    jwks_uri: `${origin}/jwks`,
    response_types_supported: ['code'],
    scopes_supported: ['openid'],
  }
}

function sendBack(state: State, { searchParams }: URL, response: ServerResponse): void {
  state.nonce = searchParams.get('nonce') ?? ''
  const back = new URL(searchParams.get('redirect_uri') ?? '')
  back.searchParams.set('code', 'a-code')
  back.searchParams.set('state', searchParams.get('state') ?? '')
  response.writeHead(302, { location: back.href }).end()
}

async function idToken(origin: string, { said, key, nonce }: State): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  const usual = { iss: origin, aud: 'us', sub: 'grace', iat: now, exp: now + 300, nonce }
  const claims = { email: 'grace@example.com', email_verified: true, name: 'Grace' }
  const header = { alg: key.alg, kid: key.kid, ...said.header }
  return new SignJWT(said.claims({ ...usual, ...claims }))
    .setProtectedHeader(header)
    .sign(key.private)
}

/** The `at_hash` of its access token (OIDC Core §3.1.3.6). */
export function hashOfToken(token = accessToken): string {
  return createHash('sha256').update(token).digest().subarray(0, 16).toString('base64url')
}
