// The endpoint `/mcp`: the same guard and policy as in front of every server, and behind them our own.
import type { Log } from '../base/log.ts'
import type { Visitor } from '../journal/attempts.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Answer } from './answers.ts'
import { faultAnswer, notRpc } from './answers.ts'
import { createBuiltin } from './builtin.ts'
import type { CallLimits } from './call-limits.ts'
import { refuseStranger, tooManyCalls } from './call-limits.ts'
import { bodylessCall, readCall } from './calls.ts'
import { eraOf } from './eras.ts'
import { onePolicy } from './policy.ts'
import { foreignOrigin, isOwnOrigin, protectEndpoint, refusalOf } from './protection.ts'
import type { Guarded, ProtectionNeeds } from './protection.ts'
import type { NoteRefusal } from './refusals.ts'
import type { Recorder } from './recorder.ts'

/** What the door knows of a call. */
export interface CalledAt {
  readonly tenant: Tenant
  readonly limits: CallLimits
  /** Who comes, as far as can be told before they are verified. */
  readonly visitor: Visitor
}

export interface Own {
  readonly serve: (request: Request, at: CalledAt) => Promise<Response>
  readonly close: () => Promise<void>
}

interface Needs extends ProtectionNeeds {
  readonly recorder: Recorder
  readonly noteRefusal: NoteRefusal
  readonly log: Log
}

/** How our own server is called in the journal. */
const server = { id: 'mcp', slug: 'mcp' } as const

/** Makes the endpoint. */
export function createOwn(needs: Needs): Own {
  const { recorder, clock, log } = needs
  const builtin = createBuiltin({ log })
  const protectOwn = (tenant: Tenant) =>
    protectEndpoint(needs, { tenant, slug: undefined, scopes: onePolicy.usualScopes })

  const run = async (request: Request, guarded: Guarded, limits: CallLimits): Promise<Response> => {
    const { principal } = guarded
    const startedAt = clock.now()
    const body = request.method === 'POST' ? await request.text() : undefined
    const call = body === undefined ? bodylessCall(request.method) : readCall(body)
    if (call === undefined) return toResponse(notRpc())
    const counted = await limits.call(principal, call.messages ?? 1)
    const tooMany = tooManyCalls(counted, call)
    if (tooMany !== undefined) return toResponse(tooMany)

    const refusal = refusalOf(guarded, call)
    const response =
      refusal === undefined
        ? asOurs(await builtin.answer(request, principal, parsed(body)))
        : toResponse(refusal)
    const era = eraOf(request.headers.get('mcp-protocol-version') ?? undefined, call)
    const { status } = response
    const reason = refusal?.reason
    const record = { principal, server, call, era, status, startedAt }
    recorder.record(reason === undefined ? record : { ...record, reason })
    return withFields(response, counted.fields)
  }

  return {
    serve: async (request, { tenant, limits, visitor }) => {
      if (!isOwnOrigin(request.headers.get('origin'), tenant)) {
        return toResponse(faultAnswer(foreignOrigin()))
      }
      const protection = protectOwn(tenant)
      const verdict = await protection.guard(request)
      if (verdict.kind === 'refused') {
        needs.noteRefusal({ tenant, slug: undefined, request, visitor, refusal: verdict })
        return toResponse(await refuseStranger(limits, verdict, request.method))
      }
      const guarded = { ...verdict, policy: onePolicy, protection }
      return withFields(await run(request, guarded, limits), verdict.headers)
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

function withFields(response: Response, fields: Readonly<Record<string, string>>): Response {
  for (const [name, value] of Object.entries(fields)) response.headers.set(name, value)
  return response
}

/** What one person got is nobody else's (RFC 9111 §3.5), and whether a connection stays is the listener's word alone. */
function asOurs(response: Response): Response {
  const headers = new Headers(response.headers)
  headers.set('cache-control', 'no-store')
  // RFC 9110 §7.6.1: a connection that is about to close must not be promised to stay.
  headers.delete('connection')
  return new Response(response.body, { status: response.status, headers })
}
