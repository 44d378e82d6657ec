// Callers who were not let in at an MCP endpoint, noted for the attempt that they are making: the first call without a
// token is how an attempt begins, a refused token is often how it ends.
import type { Traces } from '../issuer/traces.ts'
import { expired } from '../issuer/traces.ts'
import type { Attempts, Visitor } from '../journal/attempts.ts'
import type { Found, Notes } from '../journal/notes.ts'
import type { Tenant } from '../people/tenants.ts'
import type { GuardedRequest } from '../protect/credentials.ts'
import { readCredentials } from '../protect/credentials.ts'
import type { Refusal } from '../protect/index.ts'
import { resourceOf } from './targets.ts'

export interface RefusedCall {
  readonly tenant: Tenant
  readonly slug: string | undefined
  readonly request: GuardedRequest
  readonly visitor: Visitor
  readonly refusal: Pick<Refusal, 'reason' | 'status'>
  /** Who it was, where the token was good and something else was not. */
  readonly caller?: { readonly clientId: string; readonly because: string }
}

/** Notes that a caller was not let in; nobody waits for it. */
export type NoteRefusal = (refused: RefusedCall) => void

export interface RefusalNeeds {
  readonly notes: Pick<Notes, 'note'>
  readonly traces: Pick<Traces, 'ofToken'>
  readonly attempts: Pick<Attempts, 'current'>
}

/** Makes the notes of refused callers. */
export function createRefusals(needs: RefusalNeeds): NoteRefusal {
  return (refused) => {
    const { tenant, slug, request, visitor, refusal, caller } = refused
    const { reason, status } = refusal
    // RFC 9449 §9: that is how a client learns its nonce.
    if (reason === 'use_dpop_nonce') return
    const resource = resourceOf(tenant, slug)
    const credentials = readCredentials(request, ['Bearer', 'DPoP'])
    const token = credentials.kind === 'token' ? credentials.token : undefined
    const find = async () => {
      if (caller !== undefined) {
        return { clientId: caller.clientId, data: { because: caller.because } }
      }
      if (token === undefined) return {}
      const trace = await needs.traces.ofToken(tenant, token, resource)
      if (trace === undefined) return findUnknown(needs, visitor)
      // A client whose token is over refreshes it and comes back: that is no trouble.
      if (trace.because === expired && trace.wasCalled) return undefined
      return { ...trace, data: { because: trace.because } }
    }
    needs.notes.note({
      visitor,
      type: 'call.refused',
      same: [reason, resource, token?.reveal() ?? ''],
      // A call without a token is no refusal to count: it is how every client begins.
      ...(reason === 'authentication_required' ? {} : { refusal: { error: reason } }),
      data: { reason, status, resource },
      find,
    })
  }
}

/** A token that we do not know may be an old one, long swept; alone it begins no attempt. */
async function findUnknown(
  { attempts }: RefusalNeeds,
  visitor: Visitor,
): Promise<Found | undefined> {
  const attempt = await attempts.current(visitor)
  return attempt === undefined
    ? undefined
    : { attempt, data: { because: 'there is no such token' } }
}
