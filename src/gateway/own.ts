// The endpoint `/mcp`: the same guard and policy as in front of every server, and behind them our own.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Log } from '../base/log.ts'
import type { Verify } from '../issuer/verify.ts'
import type { TokenPrincipal } from '../people/principal.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Answer } from './answers.ts'
import { faultAnswer, notRpc } from './answers.ts'
import { createBuiltin } from './builtin.ts'
import type { Call } from './calls.ts'
import { bodylessCall, readCall } from './calls.ts'
import { eraOf } from './eras.ts'
import { onePolicy } from './policy.ts'
import { isOwnOrigin, protectEndpoint } from './protection.ts'
import type { Recorder } from './recorder.ts'

export interface Own {
  readonly serve: (request: Request, tenant: Tenant) => Promise<Response>
  readonly close: () => Promise<void>
}

interface Needs {
  readonly verify: Verify
  readonly recorder: Recorder
  readonly clock: Clock
  readonly log: Log
}

/** How our own server is called in the journal. */
const server = { id: 'mcp', slug: 'mcp' } as const

/** Makes the endpoint. */
export function createOwn({ verify, recorder, clock, log }: Needs): Own {
  const builtin = createBuiltin({ log })
  const protectOwn = (tenant: Tenant) =>
    protectEndpoint(verify, { tenant, slug: undefined, scopes: onePolicy.usualScopes })

  const run = async (request: Request, principal: TokenPrincipal): Promise<Response> => {
    const startedAt = clock.now()
    const body = request.method === 'POST' ? await request.text() : undefined
    const call = body === undefined ? bodylessCall(request.method) : readCall(body)
    if (call === undefined) return toResponse(notRpc())

    const refusal = refusalOf(principal, call)
    const response =
      refusal === undefined
        ? noStore(await builtin.answer(request, principal, parsed(body)))
        : toResponse(refusal)
    const era = eraOf(request.headers.get('mcp-protocol-version') ?? undefined, call)
    const { status } = response
    const reason = refusal?.reason
    const record = { principal, server, call, era, status, startedAt }
    recorder.record(reason === undefined ? record : { ...record, reason })
    return response
  }

  const refusalOf = (principal: TokenPrincipal, call: Call): Answer | undefined => {
    const decision = onePolicy.decide(principal, call)
    if (decision.kind !== 'lacks') return undefined
    return protectOwn(principal.tenant).insufficientScope(decision.scopes, call.id)
  }

  return {
    serve: async (request, tenant) => {
      if (!isOwnOrigin(request.headers.get('origin'), tenant)) {
        const because = 'a page of another origin called'
        return toResponse(faultAnswer(new Fault('forbidden', { because })))
      }
      const verdict = await protectOwn(tenant).guard(request)
      if (verdict.kind === 'refused') return toResponse(verdict)
      return run(request, verdict.principal)
    },
    close: () => builtin.close(),
  }
}

/** What readCall has found to be JSON; an absent body stays absent. */
function parsed(body: string | undefined): unknown {
  return body === undefined ? undefined : JSON.parse(body)
}

function toResponse({ status, headers, body }: Answer): Response {
  return new Response(body === '' ? null : body, { status, headers })
}

/** What one person got is nobody else's (RFC 9111 §3.5). */
function noStore(response: Response): Response {
  const headers = new Headers(response.headers)
  headers.set('cache-control', 'no-store')
  return new Response(response.body, { status: response.status, headers })
}
