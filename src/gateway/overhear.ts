// What is said in one call, for a tenant that keeps it: what was asked, and the answer, out of the bytes that the client gets.
// Where a tenant keeps nothing, nothing is made here. What is listened to is never changed or delayed by it.
import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import type { Secret } from '../base/secret.ts'
import { withoutSecrets } from '../journal/no-secrets.ts'
import type { TokenPrincipal } from '../people/principal.ts'
import type { Call } from './calls.ts'
import { callMethod } from './calls.ts'
import { isJsonObject, parseExactly, writeExactly } from './exact-json.ts'
import { createHeardAnswer } from './heard-answer.ts'
import type { Said } from './heard-answer.ts'

export interface Overheard {
  /** An answer begins; what was heard before was not the one. */
  readonly begin: (headers: IncomingHttpHeaders) => void
  readonly write: (chunk: Uint8Array) => void
  /** A whole message that stands in place of what was heard. */
  readonly say: (message: string) => void
  /** What must not be in it, whoever repeats it: the credential of this call. */
  readonly hide: (credential: Readonly<Record<string, Secret>>) => void
  readonly content: () => CallContent
}

/** JSON texts, each no longer than what is kept. */
export interface CallContent {
  readonly input: Said
  /** Absent where no answer came, or none that we can read. */
  readonly output: Said | undefined
}

/** How much of a text is kept. */
const keptBytesMax = 65_536

/** The calls whose content is kept. */
const kept: ReadonlySet<string> = new Set([callMethod, 'prompts/get', 'resources/read'])
const batch = '(batch)'

/** Listens to a call, if its tenant keeps what is said in it; `body` is what the client sent. */
export function overhear(
  { tenant }: TokenPrincipal,
  call: Pick<Call, 'method'>,
  body: Buffer | undefined,
): Overheard | undefined {
  if (tenant.callContentDays === undefined || body === undefined) return undefined
  if (!kept.has(call.method) && call.method !== batch) return undefined
  return listenTo(parseExactly(body.toString())) // readCall() has read it
}

/** The same for a request that we ask in our own words. */
export function overhearQuestion(
  { tenant }: TokenPrincipal,
  question: { readonly method: string; readonly params: Readonly<Record<string, unknown>> },
): Overheard | undefined {
  return tenant.callContentDays !== undefined && kept.has(question.method)
    ? listenTo({ ...question })
    : undefined
}

function listenTo(message: unknown): Overheard | undefined {
  const asked = askedIn(message)
  if (asked === undefined) return undefined
  const answer = createHeardAnswer()
  const hidden = new Set<string>()
  const shown = ({ text, isCut }: Said): Said => {
    const { text: short, isCut: isLong } = cut(withoutSecrets(without(text, hidden)))
    return { text: short, isCut: isCut || isLong }
  }
  return {
    begin: answer.begin,
    write: answer.write,
    say: answer.say,
    hide: (credential) => {
      for (const value of Object.values(credential)) hideIn(hidden, value.reveal())
    },
    content: () => {
      const output = answer.said(asked.ids)
      return {
        input: shown({ text: asked.text, isCut: false }),
        output: output && shown(output),
      }
    },
  }
}

/** What was asked; of a batch the calls that are kept, with the ids of their answers. */
function askedIn(
  message: unknown,
): { readonly text: string; readonly ids?: ReadonlySet<string> } | undefined {
  if (!Array.isArray(message)) {
    const params = isJsonObject(message) ? message['params'] : undefined
    return { text: writeExactly(params ?? {}) }
  }
  const calls = message.filter(isJsonObject).filter(({ method }) => kept.has(String(method)))
  if (calls.length === 0) return undefined
  const text = writeExactly(calls.map(({ jsonrpc: _version, ...call }) => call))
  return { text, ids: new Set(calls.map(({ id }) => writeExactly(id))) }
}

/** Shorter values are no secrets, and would be found in ordinary words. */
const hiddenCharsMin = 8

/** The whole value and, behind the name of its scheme, the token alone. */
function hideIn(hidden: Set<string>, value: string): void {
  for (const part of [value, value.slice(value.lastIndexOf(' ') + 1)]) {
    // As it stands in a JSON text.
    if (part.length >= hiddenCharsMin) hidden.add(JSON.stringify(part).slice(1, -1))
  }
}

function without(text: string, hidden: ReadonlySet<string>): string {
  // The longest first: one may be the end of another.
  const values = [...hidden].toSorted((left, right) => right.length - left.length)
  return values.reduce((left, value) => left.replaceAll(value, '(secret)'), text)
}

/** The beginning that is kept, in whole characters. */
function cut(text: string): Said {
  if (Buffer.byteLength(text) <= keptBytesMax) return { text, isCut: false }
  const bytes = Buffer.from(text)
  let end = keptBytesMax
  // RFC 3629 §3: such a byte goes on with a character.
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return { text: bytes.toString('utf8', 0, end), isCut: true }
}

/** Listens to what goes through a relay. */
export function overhearing(
  handler: Dispatcher.DispatchHandler,
  overheard: Overheard,
): Dispatcher.DispatchHandler {
  return {
    ...handler,
    onResponseStart: (controller, status, headers, message) => {
      overheard.begin(headers)
      handler.onResponseStart?.(controller, status, headers, message)
    },
    onResponseData: (controller, chunk) => {
      overheard.write(chunk)
      handler.onResponseData?.(controller, chunk)
    },
  }
}

/** Listens to an answer in the web's form; what is no stream is there as a whole afterwards. */
export async function overhearWeb(
  response: Response,
  overheard: Overheard | undefined,
): Promise<Response> {
  const { body, status, headers } = response
  if (overheard === undefined || body === null) return response
  const mediaType = headers.get('content-type') ?? ''
  overheard.begin({ 'content-type': mediaType })
  if (mediaType.startsWith('text/event-stream')) {
    const listening = new TransformStream<Uint8Array, Uint8Array>({
      transform: (chunk, controller) => {
        overheard.write(chunk)
        controller.enqueue(chunk)
      },
    })
    return new Response(body.pipeThrough(listening), { status, headers })
  }
  const bytes = new Uint8Array(await response.arrayBuffer())
  overheard.write(bytes)
  return new Response(bytes, { status, headers })
}
