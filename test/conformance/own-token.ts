// A token of Latchkey's own for a server behind its gateway, as an MCP client gets one: registered, let in by the person.
import { signIn } from '../harness.ts'
import { ask } from '../http/doors.ts'
import { obtainTokens, register } from '../http/oauth-client.ts'

/** An access token for this resource. */
export async function ownToken(resource: string): Promise<string> {
  const { origin } = new URL(resource)
  const doors = { origin, ask: (request: Parameters<typeof ask>[1]) => ask(origin, request) }
  const client = await register(doors)
  const { accessToken } = await obtainTokens(doors, await signIn(origin), client, { resource })
  return accessToken
}
