// better-auth with its OAuth provider on SQLite, as its documentation puts it together. Plain JavaScript, because its
// packages are only there when the benchmark has installed them. Says on its first line where it is.
import { createHash } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { oauthProvider } from '@better-auth/oauth-provider'
import { betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'
import { toNodeHandler } from 'better-auth/node'
import { jwt } from 'better-auth/plugins'

const port = Number(process.argv[2])
const tokensWanted = Number(process.argv[3])
const origin = `http://127.0.0.1:${port}`
const base = `${origin}/api/auth`
const redirectUri = 'https://app.test/cb'
const verifier = 'v'.repeat(64)

const database = new DatabaseSync(
  join(mkdtempSync(join(tmpdir(), 'bench-better-auth-')), 'auth.db'),
)
database.exec('pragma journal_mode = wal; pragma synchronous = full')

const auth = betterAuth({
  database,
  baseURL: origin,
  secret: 'a secret of the benchmark, long enough',
  emailAndPassword: { enabled: true },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  logger: { disabled: true },
  plugins: [
    jwt(),
    oauthProvider({
      loginPage: '/sign-in',
      consentPage: '/consent',
      clientPrivileges: () => true,
      scopes: ['openid', 'offline_access', 'mcp'],
      silenceWarnings: { oauthAuthServerConfig: true, openidConfig: true },
    }),
  ],
})

const { runMigrations } = await getMigrations(auth.options)
await runMigrations()
createServer(toNodeHandler(auth)).listen(port, '127.0.0.1', async () => {
  try {
    console.log(JSON.stringify(await prepare()))
  } catch (error) {
    console.error(error)
    process.exit(1)
  }
})

async function prepare() {
  const headers = await signUp()
  const machine = await makeClient(headers, {
    grant_types: ['client_credentials'],
    client_credentials_scopes: ['mcp'],
  })
  const app = await makeClient(headers, {
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
  })
  const refreshTokens = []
  for (let made = 0; made < tokensWanted; made += 1) refreshTokens.push(await signIn(headers, app))
  return {
    origin,
    tokenPath: '/api/auth/oauth2/token',
    introspectionPath: '/api/auth/oauth2/introspect',
    machine,
    app,
    refreshTokens,
  }
}

async function signUp() {
  const answer = await fetch(`${base}/sign-up/email`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin },
    body: JSON.stringify({ email: 'ada@example.com', password: 'correct horse', name: 'Ada' }),
  })
  if (!answer.ok) throw new Error(`sign-up: ${answer.status} ${await answer.text()}`)
  const cookie = answer.headers
    .getSetCookie()
    .map((line) => line.split(';', 1)[0])
    .join('; ')
  return { cookie, origin }
}

async function makeClient(headers, metadata) {
  const made = await auth.api.adminCreateOAuthClient({
    headers: new Headers(headers),
    body: {
      redirect_uris: [redirectUri],
      token_endpoint_auth_method: 'client_secret_post',
      scope: 'openid offline_access mcp',
      skip_consent: true,
      ...metadata,
    },
  })
  return { id: made.client_id, secret: made.client_secret }
}

async function signIn(headers, { id, secret }) {
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: id,
    redirect_uri: redirectUri,
    scope: 'mcp offline_access',
    state: 'state-of-the-benchmark',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  })
  const asked = await fetch(`${base}/oauth2/authorize?${query}`, { headers, redirect: 'manual' })
  const { url } = await asked.json()
  const code = new URL(url).searchParams.get('code')
  const answer = await fetch(`${base}/oauth2/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code: code ?? '',
      redirect_uri: redirectUri,
      code_verifier: verifier,
      client_id: id,
      client_secret: secret,
    }),
  })
  const { refresh_token: token } = await answer.json()
  if (typeof token !== 'string') throw new Error('no refresh token came back')
  return token
}
