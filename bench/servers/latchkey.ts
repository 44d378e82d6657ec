// Latchkey as `latchkey start` makes it, every token on disk before it is answered, and the clients and grants that the
// benchmark uses, made through its own doors. Says on its first line where it is.
import { createHash } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { createLog } from '../../src/base/log.ts'
import { readConfig } from '../../src/config.ts'
import { createPlatform } from '../../src/platform.ts'
import { operator, restAs, signIn } from '../../test/harness.ts'

const [, , port, tokensWanted, databaseUrl] = process.argv
const origin = `http://localhost:${port}`
const redirectUri = 'https://app.test/cb'
const verifier = 'v'.repeat(64)
const tokenPath = '/oauth/token'
const introspectionPath = '/oauth/introspect'

await createPlatform(
  readConfig({
    LATCHKEY_LISTEN: `127.0.0.1:${port}`,
    LATCHKEY_DATA: mkdtempSync(join(tmpdir(), 'bench-latchkey-')),
    LATCHKEY_OPERATOR_EMAIL: operator.email,
    LATCHKEY_OPERATOR_PASSWORD: operator.password,
    // The clients of a benchmark are what limits are there to stop; the others have none.
    LATCHKEY_LIMIT_SCALE: '0',
    ...(databaseUrl === undefined ? {} : { LATCHKEY_DATABASE_URL: databaseUrl }),
  }),
  { log: createLog('warn'), opensPort: true },
)

const browser = await signIn(origin)
browser.setStopAt((url) => url.origin !== origin)
const api = restAs(browser, origin)
const machine = await makeClient({ redirectUris: [], grantTypes: ['client_credentials'] })
const app = await makeClient({ redirectUris: [redirectUri] })
const refreshTokens: string[] = []
for (let made = 0; made < Number(tokensWanted); made += 1) refreshTokens.push(await connect())
if (databaseUrl !== undefined) await gatherStatistics(databaseUrl)
console.log(JSON.stringify({ origin, tokenPath, introspectionPath, machine, app, refreshTokens }))

async function makeClient(
  facts: object,
): Promise<{ readonly id: string; readonly secret: string }> {
  const { status, body } = await api('POST', '/clients', {
    name: 'Bench',
    authMethod: 'client_secret_post',
    ...facts,
  })
  if (status !== 201) throw new Error(`no client: ${status} ${JSON.stringify(body)}`)
  return { id: body.id, secret: body.clientSecret }
}

/** As Postgres does by itself within a minute or two: until then it takes every table for an empty one. */
async function gatherStatistics(url: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query('analyze')
  await client.end()
}

/** One consent on one device, as a person gives it, and the refresh token of its grant. */
async function connect(): Promise<string> {
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: app.id,
    redirect_uri: redirectUri,
    scope: 'mcp',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  })
  const asked = await browser.open(`${origin}/oauth/authorize?${query.toString()}`)
  const back = asked.isStopped
    ? asked
    : await browser.submit({ button: { name: 'decision', value: 'approve' } })
  const answer = await fetch(origin + tokenPath, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code: new URL(back.url).searchParams.get('code') ?? '',
      redirect_uri: redirectUri,
      code_verifier: verifier,
      client_id: app.id,
      client_secret: app.secret,
    }),
  })
  const { refresh_token: token } = (await answer.json()) as { readonly refresh_token: unknown } // RFC 6749 §5.1
  if (typeof token !== 'string') throw new Error(`no refresh token: ${answer.status}`)
  return token
}
