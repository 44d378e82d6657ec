// A refusal that says perhaps only that the server speaks another transport: kept whole and not sent, until it is known
// whether it does.
import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import { isJsonObject } from './exact-json.ts'

export interface Doubted {
  readonly kind: 'doubted'
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

interface Relay {
  readonly handler: Dispatcher.DispatchHandler
  readonly settle: (
    outcome:
      | Doubted
      | { readonly kind: 'held'; readonly status: number; readonly headers: IncomingHttpHeaders },
  ) => void
}

/** MCP 2025-11-25, "Backwards Compatibility": after these to a POST the older transport is tried. Nothing was done. */
const doubtful = new Set([400, 404, 405])
/** What is longer is no plain refusal. */
const keptBytesMax = 65_536
const tooLong = new Error('the refusal is not passed on')

/** Takes such a refusal out of what is relayed; everything else goes through. */
export function keepDoubtful({ handler, settle }: Relay): Dispatcher.DispatchHandler {
  let head: Pick<Doubted, 'status' | 'headers'> | undefined
  const chunks: Buffer[] = []
  let bytes = 0
  return {
    ...handler,
    onResponseStart: (controller, status, headers, message) => {
      if (doubtful.has(status)) head = { status, headers }
      else handler.onResponseStart?.(controller, status, headers, message)
    },
    onResponseData: (controller, chunk) => {
      if (head === undefined) return handler.onResponseData?.(controller, chunk)
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes <= keptBytesMax) return
      settle({ kind: 'held', ...head })
      controller.abort(tooLong)
    },
    onResponseEnd: (controller, trailers) => {
      if (head === undefined) return handler.onResponseEnd?.(controller, trailers)
      settle({ kind: 'doubted', ...head, body: Buffer.concat(chunks) })
    },
  }
}

/** MCP 2026-07-28, "Backward Compatibility": what a server without sessions says to `initialize`. */
const noSessionCodes: ReadonlySet<unknown> = new Set([-32_022, -32_601])

/** Does it know only the revisions that have no sessions? Where it knows no `initialize`, it may be. */
export function saysNoSessions({ body }: Doubted): boolean {
  try {
    const said: unknown = JSON.parse(body.toString())
    const error = isJsonObject(said) ? said['error'] : undefined
    return isJsonObject(error) && noSessionCodes.has(error['code'])
  } catch {
    return false // What is no JSON says nothing of revisions.
  }
}
