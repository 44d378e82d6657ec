// Latchkey's own MCP server and its tools. Each request brings its own principal; no tool sees a token.
import type { AuthInfo } from '@modelcontextprotocol/server'
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import { z } from 'zod'
import type { Log } from '../base/log.ts'
import type { TokenPrincipal } from '../people/principal.ts'

export interface Builtin {
  /** Answers one MCP request of either era for a verified caller; `body` is the parsed one. */
  readonly answer: (request: Request, principal: TokenPrincipal, body: unknown) => Promise<Response>
  readonly close: () => Promise<void>
}

/** Makes our own server. */
export function createBuiltin({ log }: { readonly log: Log }): Builtin {
  // The handler passes AuthInfo through as it is, so the object itself leads back to the principal.
  const principals = new WeakMap<AuthInfo, TokenPrincipal>()

  const handler = createMcpHandler(
    ({ authInfo }) => {
      const principal = authInfo && principals.get(authInfo)
      if (principal === undefined) throw new Error('an own tool was asked for without a principal')
      return serverFor(principal)
    },
    { onerror: (error) => log.debug({ because: error.message }, 'an own tool call was refused') },
  )

  return {
    answer: (request, principal, body) => {
      const { clientId, scopes } = principal
      const authInfo = { token: '', clientId, scopes: [...scopes] } // Tools have no use for the token.
      principals.set(authInfo, principal)
      const given = body === undefined ? { authInfo } : { authInfo, parsedBody: body }
      return handler.fetch(request, given)
    },
    close: () => handler.close(),
  }
}

const whoAmI = z.object({
  userId: z.string().optional(),
  email: z.string().optional(),
  name: z.string().optional(),
  tenant: z.string(),
  clientId: z.string(),
  scopes: z.array(z.string()),
})

function serverFor(principal: TokenPrincipal): McpServer {
  const server = new McpServer({ name: 'latchkey', version: '0.1.0' })
  server.registerTool(
    'whoami',
    {
      title: 'Who am I',
      description: 'Says who is signed in here, through which app, and with which permissions.',
      outputSchema: whoAmI,
      annotations: { readOnlyHint: true, openWorldHint: false },
    },
    () => {
      const facts = factsOf(principal)
      return { content: [{ type: 'text', text: JSON.stringify(facts) }], structuredContent: facts }
    },
  )
  return server
}

function factsOf({ tenant, user, clientId, scopes }: TokenPrincipal) {
  return {
    ...(user === undefined ? {} : { userId: user.id }),
    ...(user?.email === undefined ? {} : { email: user.email }),
    ...(user?.name === undefined ? {} : { name: user.name }),
    tenant: tenant.slug,
    clientId,
    scopes: [...scopes],
  }
}
