// Somebody else's MCP server with sign-in: a protected server and the authorization server that protects it.
import type { TestContext } from 'node:test'
import { startForeignAuthorizationServer } from './foreign-authorization-server.ts'
import type { ForeignAuthorizationServerOptions } from './foreign-authorization-server.ts'
import { startProtectedMcpServer } from './protected-mcp-server.ts'
import type { ProtectedMcpServerOptions } from './protected-mcp-server.ts'

/** Both stop with the test. */
export async function startUpstream(
  t: TestContext,
  options: ForeignAuthorizationServerOptions = {},
  serverOptions: Partial<ProtectedMcpServerOptions> = {},
) {
  const foreign = await startForeignAuthorizationServer(options)
  const { issuer, introspect } = foreign
  const server = await startProtectedMcpServer({ issuer, introspect, ...serverOptions })
  t.after(async () => {
    await server.stop()
    await foreign.stop()
  })
  return { foreign, server }
}
