// The SDK's MCP client, as the drivers hold it: a token at most, and no sign-in of its own.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import type { ClientCapabilities, ElicitResult } from '@modelcontextprotocol/client'
import type { Scenario } from './scenario.ts'

export interface ClientOptions {
  /** `pinned` speaks the scenario's revision only, `auto` finds out what the server speaks. */
  readonly era?: 'pinned' | 'auto'
  readonly capabilities?: ClientCapabilities
  /** What the person answers when a server asks. */
  readonly answer?: ElicitResult
  /** Asked for before every request. */
  readonly token?: () => Promise<string>
}

/** Connects; close it when done. */
export async function connectClient(
  { url, version }: Scenario,
  { era = 'pinned', capabilities = {}, answer, token }: ClientOptions = {},
): Promise<Client> {
  const pinned = version === statelessVersion ? ({ pin: statelessVersion } as const) : 'legacy'
  const client = new Client(
    { name: 'latchkey-conformance', version: '0.1.0' },
    { capabilities, versionNegotiation: { mode: era === 'auto' ? 'auto' : pinned } },
  )
  if (answer !== undefined) client.setRequestHandler('elicitation/create', async () => answer)
  await client.connect(
    new StreamableHTTPClientTransport(new URL(url), {
      ...(token === undefined ? {} : { authProvider: { token } }),
      onInsufficientScope: 'throw',
    }),
  )
  return client
}

const statelessVersion = '2026-07-28'
