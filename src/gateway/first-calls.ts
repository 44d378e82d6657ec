// The first calls of a grant belong to the attempt that led to it: the first one that is answered ends it, and until then
// those that are not. Asked while calls are written, after their answers, so no call waits for it.
import { createBoundedMap } from '../base/bounded.ts'
import type { Clock } from '../base/clock.ts'
import type { TokenPrincipal } from '../people/principal.ts'
import type { Database } from '../store/database.ts'

/** The attempt that a call belongs to, if it still is part of one. */
export type AttemptOf = (tx: Database, call: FirstCall) => Promise<string | undefined>

export interface FirstCall {
  readonly principal: TokenPrincipal
  readonly status: number
  readonly reason: string | undefined
}

const rememberedMax = 10_000
const sameAgainMs = 10 * 60_000

/** Makes the question for one process; inside the caller's transaction. */
export function createFirstCalls({ clock }: { readonly clock: Clock }): AttemptOf {
  const noted = createBoundedMap<number>(rememberedMax)

  return async (tx, { principal, status, reason }) => {
    const { attempt, grantId } = principal
    if (attempt === undefined) return undefined
    if (reason === undefined && status < 400) {
      return (await claimFirst(tx, principal, clock.now())) ? attempt : undefined
    }
    const key = `${grantId} ${reason ?? status}`
    if ((noted.get(key) ?? 0) > clock.now()) return undefined
    noted.set(key, clock.now() + sameAgainMs)
    return attempt
  }
}

/** One conditional statement: of all processes one finds the first call. */
async function claimFirst(
  tx: Database,
  { tenant, grantId }: TokenPrincipal,
  now: number,
): Promise<boolean> {
  const claimed = await tx
    .updateTable('grants')
    .set({ first_call_at: now })
    .where('tenant_id', '=', tenant.id)
    .where('id', '=', grantId)
    .where('first_call_at', 'is', null)
    .returning('id')
    .executeTakeFirst()
  return claimed !== undefined
}
