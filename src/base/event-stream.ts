// Reads a stream of server-sent events (HTML, "Server-sent events"), with a limit on all that is read.
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
  const decoder = new TextDecoder()
  let bytes = 0
  let rest = ''
  for await (const chunk of chunks) {
    bytes += chunk.length
    if (bytes > bytesMax)
      throw new Fault('payload_too_large', { because: `the stream has over ${bytesMax} bytes` })
    // A CR at the end may be half of a line end: it waits for what follows.
    const text = rest + decoder.decode(chunk, { stream: true })
    const isHalf = text.endsWith('\r')
    const blocks = (isHalf ? text.slice(0, -1) : text).replaceAll(/\r\n?/g, '\n').split('\n\n')
    rest = (blocks.pop() ?? '') + (isHalf ? '\r' : '')
    yield* blocks.flatMap(eventOf)
  }
}

function eventOf(block: string): readonly StreamEvent[] {
  const lines = block.split('\n')
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
