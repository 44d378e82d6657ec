// Bytes that are held until they make something whole: one after the other, or up to the end of an event.

/** Bytes one after the other. */
export interface HeldBytes {
  readonly size: () => number
  readonly add: (bytes: Buffer) => void
  /** All of them; nothing is held any more. */
  readonly letGo: () => Buffer
}

export const nothing: Buffer = Buffer.alloc(0)

/** Holds bytes. The room for them doubles, so that a byte at a time costs no more than all at once. */
export function createHeld(): HeldBytes {
  let room = nothing
  let size = 0
  return {
    size: () => size,
    add: (bytes) => {
      if (size + bytes.length > room.length) {
        const larger = Buffer.allocUnsafe(2 * (size + bytes.length))
        room.copy(larger, 0, 0, size)
        room = larger
      }
      bytes.copy(room, size)
      size += bytes.length
    },
    letGo: () => {
      const all = room.subarray(0, size)
      room = nothing
      size = 0
      return all
    },
  }
}

/** WHATWG HTML §9.2.5: an empty line ends an event; a line ends with CRLF, LF or CR. */
export const eventEnd = /((?:\r\n|\n|\r(?!\n)){2})/g

const eventEndBytesMax = 4

/** Says after how many bytes of a chunk the last event ends; looks at each byte once, and at what is just before it. */
export function createEndFinder(): (chunk: Buffer) => number {
  let before = nothing
  return (chunk) => {
    const all = Buffer.concat([before, chunk])
    // In UTF-8 no byte of another character looks like the end of a line.
    const ends = [...all.toString('latin1').matchAll(eventEnd)]
    const last = ends.at(-1)
    const end = last === undefined ? 0 : last.index + last[0].length
    before = all.subarray(end).subarray(1 - eventEndBytesMax)
    return Math.max(0, end - (all.length - chunk.length))
  }
}

/** What an event says, and its other lines. */
export function readEvent(event: string): {
  readonly data: string
  readonly others: readonly string[]
} {
  const lines = event.split(/\r\n|\n|\r/)
  const data = lines.filter((line) => line.startsWith('data:')).map((line) => line.slice(5))
  return { data: data.join('\n'), others: lines.filter((line) => !line.startsWith('data:')) }
}
