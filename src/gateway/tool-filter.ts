// Takes tools out of a server's answers that the caller may not use, in JSON and in event streams, message by message. A
// message that is too large to be held passes as it is: what is called is decided at the call.
import { isJsonObject, parseExactly, writeExactly } from './exact-json.ts'

/** Chunks go in as they come; what may go on comes out. */
export interface ToolFilter {
  readonly write: (chunk: Buffer) => Buffer
  /** What was still held. */
  readonly end: () => Buffer
}

/** The largest message that is held. */
export const heldBytesMax = 4 * 1024 * 1024

/** Makes a filter for one answer. */
export function createToolFilter(
  mediaType: string,
  isOffered: (tool: string) => boolean,
): ToolFilter {
  return mediaType === 'text/event-stream' ? eventFilter(isOffered) : jsonFilter(isOffered)
}

const nothing = Buffer.alloc(0)

function jsonFilter(isOffered: (tool: string) => boolean): ToolFilter {
  let held: Buffer[] = []
  let size = 0
  let isPassing = false
  const letGo = () => {
    const all = Buffer.concat(held)
    held = []
    return all
  }
  return {
    write: (chunk) => {
      if (isPassing) return chunk
      held.push(chunk)
      size += chunk.length
      if (size <= heldBytesMax) return nothing
      isPassing = true
      return letGo()
    },
    end: () => {
      const all = letGo()
      const filtered = isPassing ? undefined : filterText(all.toString(), isOffered)
      return filtered === undefined ? all : Buffer.from(filtered)
    },
  }
}

function eventFilter(isOffered: (tool: string) => boolean): ToolFilter {
  let held: Buffer = nothing
  let isPassing = false
  return {
    write: (chunk) => {
      const all = Buffer.concat([held, chunk])
      const end = endOfEvents(all)
      const [done, rest] = [all.subarray(0, end), all.subarray(end)]
      const isTooMuch = rest.length > heldBytesMax
      held = isTooMuch ? nothing : rest
      // The rest of an event that was let go is not looked at either.
      const events = isPassing ? done : filterEvents(done, isOffered)
      if (end > 0) isPassing = false
      if (!isTooMuch) return events
      isPassing = true
      return Buffer.concat([events, rest])
    },
    end: () => (isPassing ? held : filterEvents(held, isOffered)),
  }
}

/** WHATWG HTML §9.2.5: an empty line ends an event; a line ends with CRLF, LF or CR. */
const eventEnd = /((?:\r\n|\n|\r(?!\n)){2})/g

function endOfEvents(bytes: Buffer): number {
  // In UTF-8 no byte of another character looks like the end of a line.
  const text = bytes.toString('latin1')
  let end = 0
  for (const match of text.matchAll(eventEnd)) end = match.index + match[0].length
  return end
}

function filterEvents(bytes: Buffer, isOffered: (tool: string) => boolean): Buffer {
  if (!bytes.includes('"tools"')) return bytes
  const events = bytes.toString().split(eventEnd)
  return Buffer.from(events.map((event) => filterEvent(event, isOffered)).join(''))
}

function filterEvent(event: string, isOffered: (tool: string) => boolean): string {
  const lines = event.split(/\r\n|\n|\r/)
  const data = lines.filter((line) => line.startsWith('data:')).map((line) => line.slice(5))
  const filtered = filterText(data.join('\n'), isOffered)
  if (filtered === undefined) return event
  const others = lines.filter((line) => !line.startsWith('data:'))
  return [...others, `data: ${filtered}`].join('\n')
}

/** The text without those tools; undefined when nothing has to go. */
function filterText(text: string, isOffered: (tool: string) => boolean): string | undefined {
  const message = parsed(text)
  const messages: readonly unknown[] = Array.isArray(message) ? message : [message]
  const filtered = messages.map((one) => filterMessage(one, isOffered))
  if (filtered.every((one, index) => one === messages[index])) return undefined
  return writeExactly(Array.isArray(message) ? filtered : filtered[0])
}

function filterMessage(message: unknown, isOffered: (tool: string) => boolean): unknown {
  if (!isJsonObject(message) || !isJsonObject(message['result'])) return message
  const { result } = message
  const { tools } = result
  if (!Array.isArray(tools)) return message
  const kept = tools.filter(
    (tool: unknown) =>
      isJsonObject(tool) && typeof tool['name'] === 'string' && isOffered(tool['name']),
  )
  if (kept.length === tools.length) return message
  return { ...message, result: { ...result, tools: kept } }
}

function parsed(text: string): unknown {
  try {
    return parseExactly(text)
  } catch {
    return undefined // What is no JSON holds no tools.
  }
}
