// Takes in the body of a request up to a limit; it is small, and kept so that the call can be sent once more.
import type { IncomingMessage } from 'node:http'
import { collectUpTo } from '../base/collect.ts'
import { Fault, isFault } from '../base/fault.ts'

/** The largest request body. */
const bodyBytesMax = 4 * 1024 * 1024

/** Reads the whole body. Throws Fault('payload_too_large') as soon as it is known to be over the limit. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > bodyBytesMax) throw tooLarge()
  try {
    // The stream must outlive a refusal: destroying it would take the connection along, before the answer is sent.
    const body = await collectUpTo(request.iterator({ destroyOnReturn: false }), bodyBytesMax)
    if (body === undefined) throw tooLarge()
    return body
  } catch (thrown) {
    if (isFault(thrown)) throw thrown
    throw new Fault('invalid_request', { because: 'the body broke off', cause: thrown })
  }
}

function tooLarge(): Fault {
  return new Fault('payload_too_large', { because: `the body is over ${bodyBytesMax} bytes` })
}
