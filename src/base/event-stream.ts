// Reads a stream of server-sent events (HTML, "Server-sent events"), with a limit on all that is read. Each byte is looked
// at once, however small the pieces are in which a server sends them.
import { Fault } from './fault.ts'

/** One event; without a name of its own it is a `message`. */
export interface StreamEvent {
  readonly name: string
  readonly data: string
}

/** The events one by one, each as soon as it is whole. Throws Fault('payload_too_large'). */
export async function* readEvents(
  chunks: AsyncIterable<Uint8Array>,
  bytesMax: number,
): AsyncGenerator<StreamEvent, void, undefined> {
  const decoder = new TextDecoder() // It leaves a BOM out, as the standard asks.
  const linesIn = createLineReader()
  let bytes = 0
  let lines: string[] = []
  for await (const chunk of chunks) {
    bytes += chunk.length
    if (bytes > bytesMax)
      throw new Fault('payload_too_large', { because: `the stream has over ${bytesMax} bytes` })
    for (const line of linesIn(decoder.decode(chunk, { stream: true }))) {
      if (line !== '') {
        lines.push(line)
        continue
      }
      yield* eventOf(lines)
      lines = []
    }
  }
}

/** An event in the words of the stream. */
export function writeEvent({ name, data }: StreamEvent): string {
  const lines = data.split(/\r\n|\n|\r/).map((line) => `data: ${line}\n`)
  return `${name === 'message' ? '' : `event: ${name}\n`}${lines.join('')}\n`
}

/** Gives the lines that have ended; what has not is kept in pieces until it does. */
function createLineReader(): (text: string) => readonly string[] {
  let pieces: string[] = []
  let isAfterReturn = false
  return (text) => {
    if (text === '') return [] // half a character
    // A line that ended with CR is over at once; an LF that follows belongs to the same end.
    const fresh = isAfterReturn && text.startsWith('\n') ? text.slice(1) : text
    isAfterReturn = text.endsWith('\r')
    const [first = '', ...others] = fresh.split(/\r\n|\n|\r/)
    pieces.push(first)
    const last = others.pop()
    if (last === undefined) return []
    const whole = pieces.join('')
    pieces = [last]
    return [whole, ...others]
  }
}

function eventOf(lines: readonly string[]): readonly StreamEvent[] {
  const data = lines.flatMap((line) => valueOf(line, 'data'))
  const name = lines.flatMap((line) => valueOf(line, 'event')).at(-1)
  if (data.length === 0) return [] // what has no data is no event
  return [{ name: name === undefined || name === '' ? 'message' : name, data: data.join('\n') }]
}

function valueOf(line: string, field: string): readonly string[] {
  if (line === field) return ['']
  if (!line.startsWith(`${field}:`)) return []
  const value = line.slice(field.length + 1)
  return [value.startsWith(' ') ? value.slice(1) : value]
}
