// The results of a subscription as server-sent events, each when it comes (the protocol "GraphQL over SSE", distinct
// connections): `next` for each, `complete` at the end, a comment when there is nothing.
import type { Clock } from '../../base/clock.ts'
import { heartbeatMs, isAdmitted, streamMaxMs } from '../open-streams.ts'

export interface Subscribed {
  readonly results: AsyncIterator<unknown, void>
  readonly isStillAdmitted: () => Promise<boolean>
  /** Aborted when nobody reads any more. */
  readonly left: AbortSignal
}

/** The pieces of the stream. Whoever may not come in any more is told nothing more, and not that it is complete. */
export async function* resultTexts(
  clock: Clock,
  { results, isStillAdmitted, left }: Subscribed,
): AsyncGenerator<string, void> {
  const endsAt = clock.now() + streamMaxMs
  yield ': listening\n\n'
  let next = results.next()
  while (clock.now() < endsAt) {
    const came = await withinHeartbeat(clock, next)
    if (left.aborted || !(await isAdmitted(isStillAdmitted))) return
    if (came?.done === true) return yield 'event: complete\ndata:\n\n'
    yield came === undefined
      ? ': still here\n\n'
      : `event: next\ndata: ${JSON.stringify(came.value)}\n\n`
    if (came !== undefined) next = results.next()
  }
}

/** What comes next, or nothing when nothing came for so long. */
async function withinHeartbeat<T>(clock: Clock, next: Promise<T>): Promise<T | undefined> {
  const came = new AbortController()
  const silence = clock.sleep(heartbeatMs, came.signal).catch(() => {}) // Something came.
  try {
    return (await Promise.race([next, silence])) ?? undefined
  } finally {
    came.abort()
  }
}
