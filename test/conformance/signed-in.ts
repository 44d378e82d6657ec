// The scenarios with sign-in. Latchkey finds the way, registers, signs in and keeps the tokens; the driver is the back end
// of an app that uses them, and tells Latchkey when a server refuses one.
import {
  InsufficientScopeError,
  SdkHttpError,
  UnauthorizedError,
} from '@modelcontextprotocol/client'
import { Fault } from '../../src/base/fault.ts'
import { connectClient } from './client.ts'
import { connectionTo } from './connection.ts'
import { ownToken } from './own-token.ts'
import type { Connection } from './connection.ts'
import type { Scenario } from './scenario.ts'

// MCP authorization, "Step-Up Authorization Flow": a few times and no more.
const signInsMax = 3

/** Signs in, lists the tools and calls one, signing in again when the server asks for it. */
export async function playSignedIn(scenario: Scenario): Promise<void> {
  const connection = await connectionTo(scenario)
  const persist = persistently(connection)
  await connection.signIn()
  if (scenario.name.startsWith('auth/dpop')) return playThrough(scenario, connection)
  const client = await persist(() => connectClient(scenario, { token: connection.token }))
  await persist(() => client.listTools())
  await persist(() => client.callTool({ name: 'test-tool', arguments: {} }))
  await client.close()
}

/** A token that is bound to a key is given to nobody: the server is called through the gateway, which proves the key. */
async function playThrough(scenario: Scenario, { gatewayUrl: url }: Connection): Promise<void> {
  const accessToken = await ownToken(url)
  const client = await connectClient({ ...scenario, url }, { token: async () => accessToken })
  await client.listTools()
  await client.callTool({ name: 'test-tool', arguments: {} })
  await client.close()
}

/** Does something again after each sign-in that the server wanted for it. */
function persistently(connection: Connection) {
  let signIns = 1
  return async <T>(action: () => Promise<T>): Promise<T> => {
    for (;;) {
      try {
        return await action()
      } catch (thrown) {
        if (signIns >= signInsMax) throw thrown
        signIns += 1
        await answer(connection, thrown)
      }
    }
  }
}

/** Does what a refusal asks for; what is no refusal is thrown on. */
async function answer(connection: Connection, thrown: unknown): Promise<void> {
  if (thrown instanceof InsufficientScopeError) {
    if (await connection.signIn(thrown.requiredScope)) return
    throw new Fault('insufficient_scope', {
      because: 'the server wants scopes that it has given already',
      cause: thrown,
    })
  }
  if (!isUnauthorized(thrown)) throw thrown
  await connection.reportRefusal()
  if (await connection.signIn()) return
  throw new Fault('invalid_token', { because: 'the server refuses a live token', cause: thrown })
}

function isUnauthorized(thrown: unknown): boolean {
  if (thrown instanceof UnauthorizedError) return true
  return thrown instanceof SdkHttpError && thrown.status === 401
}
