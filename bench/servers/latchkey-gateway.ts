// Latchkey as `latchkey start` makes it, with one server behind a sign-in and a tool policy, the person connected to it, and a
// client that the person let in: all through its own doors. Says on its first line where it is.
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLog } from '../../src/base/log.ts'
import { readConfig } from '../../src/config.ts'
import { createPlatform } from '../../src/platform.ts'
import { signInClient } from '../../test/flows/signed-in-client.ts'
import { operator, restAs, signIn } from '../../test/harness.ts'
import type { RestAnswer } from '../../test/harness.ts'

const [, , port, given = '', databaseUrl] = process.argv
const { upstreamUrl } = JSON.parse(given) as { readonly upstreamUrl: string }
const origin = `http://localhost:${port}`
const url = `${origin}/bench/mcp`

await createPlatform(
  readConfig({
    LATCHKEY_LISTEN: `127.0.0.1:${port}`,
    LATCHKEY_DATA: mkdtempSync(join(tmpdir(), 'bench-gateway-')),
    LATCHKEY_OPERATOR_EMAIL: operator.email,
    LATCHKEY_OPERATOR_PASSWORD: operator.password,
    LATCHKEY_ALLOW_PRIVATE_NETWORKS: 'loopback',
    // Every call is counted, and none is one too many.
    LATCHKEY_LIMIT_CALLS_PER_MINUTE: '1000000',
    LATCHKEY_LIMIT_SCALE: '100',
    ...(databaseUrl === undefined ? {} : { LATCHKEY_DATABASE_URL: databaseUrl }),
  }),
  { log: createLog('warn'), opensPort: true },
)

const browser = await signIn(origin)
const api = restAs(browser, origin)
const server = made(
  await api('POST', '/servers', {
    url: upstreamUrl,
    slug: 'bench',
    toolPolicy: { deny: ['drop_*'] },
  }),
)
const connection = made(await api('POST', '/connections', { serverId: server.id }))
const begun = await api('POST', `/connections/${connection.id}/authorize`, {})
await browser.open(begun.body.authorizeUrl)
const { client, tokens } = await signInClient({ origin, url, browser, era: 'legacy' })
await client.listTools()
await client.close()
const headers = { authorization: `Bearer ${tokens()?.access_token}` }
console.log(JSON.stringify({ url, headers }))

function made({ status, body }: RestAnswer): RestAnswer['body'] {
  if (status !== 201) throw new Error(`not made: ${status} ${JSON.stringify(body)}`)
  return body
}
