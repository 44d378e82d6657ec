// Reads a body within its limit, which counts after decompression: a small answer cannot grow into a large one.
import type { Readable } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import { Fault } from './fault.ts'

interface Limits {
  readonly encoding: string | null
  readonly bytes: number
}

/** The body as text. Throws a Fault when it is too large or wrapped in more than one encoding. */
export async function readLimited(body: Readable, { encoding, bytes }: Limits): Promise<string> {
  try {
    return await collect(decoded(body, encoding), bytes)
  } finally {
    // Ends the transfer where it stands; what was asked for is read, or will not be.
    body.on('error', () => {}).destroy()
  }
}

function decoded(body: Readable, encoding: string | null): Readable {
  const name = (encoding ?? '').trim().toLowerCase()
  if (name === '' || name === 'identity') return body
  const decoder = decoders.get(name)
  if (decoder === undefined) throw tooOdd(`the answer is encoded as "${name.slice(0, 40)}"`)
  const stream = decoder()
  body.on('error', (error) => stream.destroy(error))
  return body.pipe(stream)
}

const decoders = new Map<string, () => NodeJS.ReadWriteStream & Readable>([
  ['gzip', createGunzip],
  ['deflate', createInflate],
  ['br', createBrotliDecompress],
])

async function collect(stream: Readable, bytes: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength
    if (size > bytes) {
      stream.destroy()
      throw tooOdd(`the answer is over ${bytes} bytes`)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function tooOdd(because: string): Fault {
  return new Fault('discovery_blocked', { because })
}
