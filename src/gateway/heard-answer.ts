// Finds the answer to a call in the bytes of a response: in JSON, or among the events of a stream, of which only the one that
// is going on is held.
import type { IncomingHttpHeaders } from 'node:http'
import { isJsonObject, parseExactly, writeExactly } from './exact-json.ts'
import { createEndFinder, createHeld, eventEnd, readEvent } from './held-bytes.ts'

export interface HeardAnswer {
  readonly begin: (headers: IncomingHttpHeaders) => void
  readonly write: (chunk: Uint8Array) => void
  readonly say: (message: string) => void
  /** What was answered, to these requests of a batch or to the one that there was; undefined where nothing was. */
  readonly said: (ids?: ReadonlySet<string>) => Said | undefined
}

export interface Said {
  readonly text: string
  /** Only its beginning is there. */
  readonly isCut: boolean
}

/** The largest message that is read; of a larger one the beginning is told as it came. */
const heldBytesMax = 1024 * 1024

/** Makes what finds it. */
export function createHeardAnswer(): HeardAnswer {
  let heard: Heard = silent
  return {
    begin: (headers) => {
      const isPlain = (headers['content-encoding'] ?? 'identity') === 'identity'
      const mediaType = (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase()
      if (!isPlain) heard = silent
      else heard = mediaType === 'text/event-stream' ? events() : whole()
    },
    write: (chunk) => heard.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)),
    say: (message) => {
      heard = whole()
      heard.write(Buffer.from(message))
    },
    said: (ids) => {
      const { answers, rest } = heard.end()
      const found = answers.flatMap((answer) => partsOf(answer, ids))
      if (found.length > 0) {
        return { text: writeExactly(ids === undefined ? found[0] : found), isCut: false }
      }
      return rest === '' ? undefined : { text: rest, isCut: true }
    },
  }
}

interface Heard {
  readonly write: (chunk: Buffer) => void
  /** The messages that are answers, and what is left of one that did not come whole. */
  readonly end: () => { readonly answers: readonly unknown[]; readonly rest: string }
}

const silent: Heard = { write: () => {}, end: () => ({ answers: [], rest: '' }) }

function whole(): Heard {
  const held = createHeld()
  return {
    write: (chunk) => addUpTo(held, chunk),
    end: () => {
      const text = held.letGo().toString()
      const answer = answerIn(text)
      return answer === undefined
        ? { answers: [], rest: restOf(text) }
        : { answers: [answer], rest: '' }
    },
  }
}

function events(): Heard {
  const held = createHeld()
  const findEnd = createEndFinder()
  const answers: unknown[] = []
  let rest = ''
  const look = () => {
    for (const event of held.letGo().toString().split(eventEnd)) {
      const { data } = readEvent(event)
      const answer = answerIn(data)
      if (answer !== undefined) answers.push(answer)
      else if (restOf(data) !== '') rest = data
    }
  }
  return {
    write: (chunk) => {
      const end = findEnd(chunk)
      if (end > 0) {
        addUpTo(held, chunk.subarray(0, end))
        look()
      }
      addUpTo(held, chunk.subarray(end))
    },
    end: () => {
      look()
      return { answers, rest }
    },
  }
}

function addUpTo(held: ReturnType<typeof createHeld>, chunk: Buffer): void {
  const room = heldBytesMax - held.size()
  if (room > 0) held.add(chunk.subarray(0, room))
}

/** A message that answers, or several of a batch; undefined for every other one and for what is no whole JSON. */
function answerIn(text: string): unknown {
  if (restOf(text) === '') return undefined
  try {
    const message = parseExactly(text)
    return Array.isArray(message) || isAnswer(message) ? message : undefined
  } catch {
    return undefined // It is told as it came.
  }
}

/** What did not come whole, where it looks like an answer. */
function restOf(text: string): string {
  return /"(?:result|error)"/.test(text) ? text : ''
}

function isAnswer(message: unknown): message is Record<string, unknown> {
  return isJsonObject(message) && ('result' in message || 'error' in message)
}

/** Without what belongs to the exchange; of a batch the ids say what answers what. */
function partsOf(answer: unknown, ids: ReadonlySet<string> | undefined): readonly unknown[] {
  const messages = (Array.isArray(answer) ? answer : [answer]).filter(isAnswer)
  if (ids === undefined) return messages.map(({ jsonrpc: _version, id: _id, ...said }) => said)
  return messages
    .filter(({ id }) => ids.has(writeExactly(id)))
    .map(({ jsonrpc: _version, ...said }) => said)
}
