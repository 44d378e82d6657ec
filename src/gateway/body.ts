// Takes in the body of a request up to a limit; it is small, and kept so that the call can be sent once more.
import type { IncomingMessage } from 'node:http'
import { Fault, isFault } from '../base/fault.ts'

/** The largest request body. */
const bodyBytesMax = 4 * 1024 * 1024

/** Reads the whole body. Throws Fault('payload_too_large') as soon as it is known to be over the limit. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > bodyBytesMax) throw tooLarge()
  try {
    return await collect(request)
  } catch (thrown) {
    if (isFault(thrown)) throw thrown
    throw new Fault('invalid_request', { because: 'the body broke off', cause: thrown })
  }
}

async function collect(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  // The stream must outlive a refusal: destroying it would take the connection along, before the answer is sent.
  const stream: AsyncIterable<Buffer> = request.iterator({ destroyOnReturn: false })
  for await (const chunk of stream) {
    size += chunk.length
    if (size > bodyBytesMax) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, size)
}

function tooLarge(): Fault {
  return new Fault('payload_too_large', { because: `the body is over ${bodyBytesMax} bytes` })
}
