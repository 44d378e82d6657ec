// The guard as middleware of Hono: the caller is in `context.get('auth')`.
import type { MiddlewareHandler } from 'hono'
import type { AuthInfo } from './auth-info.ts'
import type { Caller } from './caller.ts'
import { forFetch } from './for-fetch.ts'
import type { GuardOptions } from './for-fetch.ts'
import type { Protection } from './protect-mcp-server.ts'

/** Makes it; mounted on every path it serves the metadata too. */
export function forHono(
  protection: Protection<Caller>,
  options: GuardOptions = {},
): MiddlewareHandler<{ Variables: { auth: AuthInfo } }> {
  const guard = forFetch(protection, options)
  return async (context, next) => {
    const passed = await guard(context.req.raw)
    if (passed.kind === 'answer') return passed.response
    context.set('auth', passed.authInfo)
    await next()
    return undefined
  }
}
