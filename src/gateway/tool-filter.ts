// Takes tools out of a server's answers that the caller may not use, in JSON and in event streams, message by message. A
// message that is too large to be held passes as it is: what is called is decided at the call.
import { isJsonObject, parseExactly, writeExactly } from './exact-json.ts'
import { createEndFinder, createHeld, eventEnd, nothing, readEvent } from './held-bytes.ts'
import type { IsOffered } from './policy.ts'

/** Chunks go in as they come; what may go on comes out. */
export interface ToolFilter {
  readonly write: (chunk: Buffer) => Buffer
  /** What was still held. */
  readonly end: () => Buffer
}

/** The largest message that is held. */
export const heldBytesMax = 4 * 1024 * 1024

/** Makes a filter for one answer. */
export function createToolFilter(mediaType: string, isOffered: IsOffered): ToolFilter {
  return mediaType === 'text/event-stream' ? eventFilter(isOffered) : jsonFilter(isOffered)
}

function jsonFilter(isOffered: IsOffered): ToolFilter {
  const held = createHeld()
  let isPassing = false
  return {
    write: (chunk) => {
      if (isPassing) return chunk
      held.add(chunk)
      if (held.size() <= heldBytesMax) return nothing
      isPassing = true
      return held.letGo()
    },
    end: () => {
      const all = held.letGo()
      const filtered = isPassing ? undefined : filterText(all.toString(), isOffered)
      return filtered === undefined ? all : Buffer.from(filtered)
    },
  }
}

function eventFilter(isOffered: IsOffered): ToolFilter {
  const held = createHeld()
  const findEnd = createEndFinder()
  let isPassing = false
  const letGo = () => (isPassing ? held.letGo() : filterEvents(held.letGo(), isOffered))
  return {
    write: (chunk) => {
      const end = findEnd(chunk)
      let events = nothing
      if (end > 0) {
        held.add(chunk.subarray(0, end))
        events = letGo()
        // The rest of an event that was let go is not looked at either.
        isPassing = false
      }
      held.add(chunk.subarray(end))
      if (held.size() <= heldBytesMax) return events
      isPassing = true
      return Buffer.concat([events, held.letGo()])
    },
    end: letGo,
  }
}

function filterEvents(bytes: Buffer, isOffered: IsOffered): Buffer {
  if (!bytes.includes('"tools"')) return bytes
  const events = bytes.toString().split(eventEnd)
  return Buffer.from(events.map((event) => filterEvent(event, isOffered)).join(''))
}

function filterEvent(event: string, isOffered: IsOffered): string {
  const { data, others } = readEvent(event)
  const filtered = filterText(data, isOffered)
  if (filtered === undefined) return event
  return [...others, `data: ${filtered}`].join('\n')
}

/** The text without those tools; undefined when nothing has to go. */
function filterText(text: string, isOffered: IsOffered): string | undefined {
  const message = parsed(text)
  const messages: readonly unknown[] = Array.isArray(message) ? message : [message]
  const filtered = messages.map((one) => filterMessage(one, isOffered))
  if (filtered.every((one, index) => one === messages[index])) return undefined
  return writeExactly(Array.isArray(message) ? filtered : filtered[0])
}

function filterMessage(message: unknown, isOffered: IsOffered): unknown {
  if (!isJsonObject(message) || !isJsonObject(message['result'])) return message
  const { result } = message
  const { tools } = result
  if (!Array.isArray(tools)) return message
  const kept = tools.filter(
    (tool: unknown) =>
      isJsonObject(tool) && typeof tool['name'] === 'string' && isOffered(tool['name'], tool),
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
