// The door to `/mcp`, our own tools. `/{slug}/mcp` does not pass here: node.ts hands its streams to the gateway.
import type { Gateway } from '../gateway/gateway.ts'
import { callLimitsOf } from './call-limits.ts'
import { route } from './route.ts'
import type { Route } from './route.ts'

const bodyBytes = 4 * 1024 * 1024

/** The rows of `/mcp`; the gateway verifies the token itself, as it does for every server. */
export function mcpRoutes({ gateway }: { readonly gateway: Gateway }): readonly Route[] {
  return (['GET', 'POST', 'DELETE'] as const).map((method) =>
    route({
      method,
      path: '/mcp',
      guard: 'bearer',
      // The gateway has calls counted by who makes them, once it knows.
      limits: [],
      surface: 'oauth',
      bodyBytes,
      words: 'All of the person’s servers as one, and Latchkey’s own tools (MCP, Streamable HTTP).',
      run: ({ tenant, request, body, meter, visitor }) =>
        gateway.own(
          new Request(request.url, {
            method,
            headers: request.headers,
            signal: request.signal,
            ...(method === 'POST' ? { body } : {}),
          }),
          { tenant, limits: callLimitsOf(meter), visitor },
        ),
    }),
  )
}
