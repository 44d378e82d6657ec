// Owns what can happen between a provider's work and the last byte of its answer: the line is cut, or everything stands
// still until a test has done what it came for.
import type { ServerResponse } from 'node:http'

/**
 * Where an answer stops: the request is read and nothing is done yet; the work is done and no byte is sent; the first byte
 * of the body is sent.
 */
export type Moment = 'read' | 'worked' | 'first-byte'

/** One answer that stops on its way. */
export interface Hold {
  /** Resolves when a request is there. */
  readonly arrived: Promise<void>
  readonly release: () => void
  /** Resolves when the whole answer is sent, or nobody is there any more to take it. */
  readonly sent: Promise<void>
  /** For the provider: makes this answer the one that stops. */
  readonly stopAt: (response: ServerResponse) => Promise<void>
}

/** Makes a hold for one answer. */
export function holdAnswer(moment: Moment): Hold {
  const arrived = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  const sent = Promise.withResolvers<void>()
  return {
    arrived: arrived.promise,
    release: released.resolve,
    sent: sent.promise,
    stopAt: async (response) => {
      response.once('close', sent.resolve)
      if (moment === 'read') {
        arrived.resolve()
        await released.promise
        return
      }
      insteadOfEnding(response, async (text, end) => {
        const early = moment === 'first-byte' ? 1 : 0
        if (early > 0) response.write(text.slice(0, early))
        arrived.resolve()
        await released.promise
        end(text.slice(early))
      })
    },
  }
}

/** The work is done as usual, and the moment the answer would begin, the line goes dead. */
export function cutInstead(response: ServerResponse): void {
  response.writeHead = () => {
    response.socket?.resetAndDestroy()
    return response
  }
}

/** Half of the answer is sent, and then the line goes dead. */
export function cutInTheMiddle(response: ServerResponse): void {
  insteadOfEnding(response, async (text) => {
    const half = text.slice(0, Math.ceil(text.length / 2))
    response.write(half, () => response.socket?.resetAndDestroy())
  })
}

type Ending = (text: string, end: (text: string) => void) => Promise<void>

function insteadOfEnding(response: ServerResponse, ending: Ending): void {
  const end = response.end.bind(response) as (text: string) => ServerResponse // the form that is used here
  const replaced = (text: unknown = '') => {
    void ending(String(text), end)
    return response
  }
  response.end = replaced as ServerResponse['end'] // the same
}
