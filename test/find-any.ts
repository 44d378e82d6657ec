// Which of many strings stands in a large text: one pass over the bytes with a rolling digest (Rabin and Karp), because
// asking for a thousand secrets one by one in half a gigabyte takes longer than a tenth of the tests.

/** Where one of the strings begins, in bytes. */
export interface Found {
  readonly needle: string
  readonly at: number
}

export type Finder = (text: Buffer) => Found | undefined

/** How long each string must be, in bytes; what is shorter is a word that may stand anywhere. */
export const needleBytes = 12

const factor = 0x01000193
const maskBits = 20

/** Throws an Error for a string that is too short. */
export function createFinder(needles: Iterable<string>): Finder {
  const byDigest = new Map<number, Buffer[]>()
  const isLikely = new Uint8Array(2 ** maskBits)
  for (const needle of needles) {
    const bytes = Buffer.from(needle)
    if (bytes.length < needleBytes)
      throw new Error(`a string of ${bytes.length} bytes is too short`)
    const digest = digestOf(bytes)
    byDigest.set(digest, [...(byDigest.get(digest) ?? []), bytes])
    isLikely[digest >>> (32 - maskBits)] = 1
  }
  return (text) => {
    if (text.length < needleBytes) return undefined
    let digest = digestOf(text)
    for (let at = 0; ; at += 1) {
      if (isLikely[digest >>> (32 - maskBits)] === 1) {
        const found = byDigest.get(digest)?.find((bytes) => standsAt(text, at, bytes))
        if (found !== undefined) return { needle: found.toString(), at }
      }
      const next = text[at + needleBytes]
      if (next === undefined) return undefined
      digest = (Math.imul(digest - Math.imul(text[at] ?? 0, leaving), factor) + next) >>> 0
    }
  }
}

/** What the first byte of a window weighs: factor ^ (needleBytes - 1), in 32 bits. */
const leaving = Array.from({ length: needleBytes - 1 }).reduce<number>(
  (weight) => Math.imul(weight, factor),
  1,
)

function digestOf(bytes: Buffer): number {
  let digest = 0
  for (let at = 0; at < needleBytes; at += 1) {
    digest = (Math.imul(digest, factor) + (bytes[at] ?? 0)) >>> 0
  }
  return digest
}

function standsAt(text: Buffer, at: number, bytes: Buffer): boolean {
  const end = at + bytes.length
  return end <= text.length && text.compare(bytes, 0, bytes.length, at, end) === 0
}
