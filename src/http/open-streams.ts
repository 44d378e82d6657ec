// Answers that stay open and tell what happens: how many there may be, how long, and how their pieces are sent.
import { Fault } from '../base/fault.ts'

/** How many streams are open in this process. */
export interface OpenStreams {
  /** Takes a place; call what it returns to leave it. Throws Fault('too_many_requests'). */
  readonly enter: (userId: string) => () => void
}

/** Silence is broken, and it is asked whether the listener may stay, so often. */
export const heartbeatMs = 15_000
/** A stream ends after this long; whoever listens comes back. */
export const streamMaxMs = 3_600_000
const streamsMax = 1_000
const streamsPerUserMax = 8

/** How many streams are open, in all and per person. */
export function createOpenStreams(): OpenStreams {
  const counts = new Map<string, number>()
  let all = 0
  return {
    enter: (userId: string): (() => void) => {
      const own = counts.get(userId) ?? 0
      if (all >= streamsMax || own >= streamsPerUserMax) {
        throw new Fault('too_many_requests', {
          because: 'too many event streams are open',
          retryAfterS: 30,
        })
      }
      counts.set(userId, own + 1)
      all += 1
      let isIn = true
      return () => {
        if (!isIn) return
        isIn = false
        all -= 1
        const left = (counts.get(userId) ?? 1) - 1
        if (left === 0) counts.delete(userId)
        else counts.set(userId, left)
      }
    },
  }
}

/** An answer of server-sent events. */
export function streamAnswer(body: ReadableStream<Uint8Array> | null): Response {
  return new Response(body, {
    headers: {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // Or a proxy keeps events back until it has many.
      'x-accel-buffering': 'no',
    },
  })
}

/** Pieces of text as the body of an answer; `end` is called once there are no more, or nobody reads. */
export function streamOf(
  texts: AsyncGenerator<string, void>,
  end: () => void,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  let isLeft = false
  return new ReadableStream<Uint8Array>({
    // Asked for one piece at a time, so that a slow reader costs no memory.
    pull: async (controller) => {
      const { done, value } = await texts.next().catch((thrown: unknown) => {
        end()
        throw thrown
      })
      if (!done) return controller.enqueue(encoder.encode(value))
      end()
      if (!isLeft) controller.close()
    },
    cancel: () => {
      isLeft = true
      end()
    },
  })
}

/** May the listener stay? The guard throws for whoever may not: the stream ends, and a new one is told why. */
export async function isAdmitted(isStillAdmitted: () => Promise<boolean>): Promise<boolean> {
  try {
    return await isStillAdmitted()
  } catch {
    return false
  }
}
