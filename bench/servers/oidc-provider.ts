// oidc-provider on maps without a limit: nothing it keeps outlives the process. Says on its first line where it is.
import { createServer } from 'node:http'
import { Provider } from 'oidc-provider'
import type { Client } from 'oidc-provider'
import { createProviderMemory } from '../../test/counterparts/provider-memory.ts'

const port = Number(process.argv[2])
const tokensWanted = Number(process.argv[3])
const origin = `http://127.0.0.1:${port}`
const secret = 's'.repeat(43)
const machine = { id: 'machine', secret }
const app = { id: 'app', secret }

const provider = new Provider(origin, {
  adapter: createProviderMemory().adapterFor,
  clients: [
    {
      client_id: machine.id,
      client_secret: secret,
      redirect_uris: [],
      response_types: [],
      grant_types: ['client_credentials'],
      token_endpoint_auth_method: 'client_secret_post',
    },
    {
      client_id: app.id,
      client_secret: secret,
      redirect_uris: ['https://app.test/cb'],
      response_types: ['code'],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'client_secret_post',
    },
  ],
  scopes: ['mcp', 'offline_access'],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
  },
  rotateRefreshToken: true,
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  ttl: { AccessToken: 3600, ClientCredentials: 3600, RefreshToken: 2_592_000, Grant: 2_592_000 },
  cookies: { keys: ['a key of the benchmark'] },
})

const answer = provider.callback()
createServer((request, response) => void answer(request, response)).listen(
  port,
  '127.0.0.1',
  () => void announce(),
)

async function announce(): Promise<void> {
  const client = await provider.Client.find(app.id)
  if (client === undefined) throw new Error('the client was not configured')
  const refreshTokens: string[] = []
  for (let made = 0; made < tokensWanted; made += 1) refreshTokens.push(await mint(client))
  const tokenPath = '/token'
  const introspectionPath = '/token/introspection'
  console.log(JSON.stringify({ origin, tokenPath, introspectionPath, machine, app, refreshTokens }))
}

/** A refresh token as the end of a sign-in would make it, without the pages. */
async function mint(client: Client): Promise<string> {
  const grant = new provider.Grant({ accountId: 'ada', clientId: client.clientId })
  grant.addOIDCScope('mcp offline_access')
  const grantId = await grant.save()
  const token = new provider.RefreshToken({
    accountId: 'ada',
    client,
    grantId,
    gty: 'authorization_code',
    scope: 'mcp offline_access',
    rotations: 0,
    iiat: Math.floor(Date.now() / 1000),
  })
  return token.save()
}
