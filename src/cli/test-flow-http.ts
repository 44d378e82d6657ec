// One request of `latchkey test-flow` to the running server, over real HTTP. The host that is asked for is the tenant's
// own, also when the server is reached at another address, such as behind its proxy.
import { request as httpRequest } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { randomId, systemRandom } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import { baseOf } from '../people/tenants.ts'
import type { Tenant } from '../people/tenants.ts'

/** A request; `form` and `json` are bodies. Paths and cookies are as at a host of its own, here and in the answer. */
export interface Ask {
  readonly path: string
  readonly form?: Readonly<Record<string, string>>
  readonly json?: unknown
  readonly cookies?: readonly (readonly [string, Secret])[]
  readonly bearer?: Secret
}

export interface Answer {
  readonly status: number
  readonly header: (name: string) => string
  readonly cookie: (name: string) => string | undefined
  readonly text: string
  /** The body as an object; empty when it is none. */
  readonly json: Readonly<Record<string, unknown>>
}

/** Asks the server. Throws an Error in plain words when it does not answer. */
export type AskServer = (ask: Ask) => Promise<Answer>

const answerLimitMs = 10_000
const bytesMax = 1_048_576

/** What is the same in every request of a run. */
interface Common {
  readonly url: string
  readonly tenant: Tenant
  /** Says that it is the test which asks. */
  readonly testHeader: { readonly name: string; readonly value: Secret }
}

/** Makes the asking of one server. */
export function createAskServer(
  { url, tenant, testHeader }: Common,
  signal: AbortSignal,
): AskServer {
  const { host, hostname } = new URL(tenant.issuer)
  const base = baseOf(tenant)
  const tail = base === '' ? '' : `_${tenant.slug}`
  // A name that nobody else has, so that no other program's attempt to connect is taken for this one's.
  const agent = randomId(systemRandom, 'latchkey-test-flow/')
  const send = url.startsWith('https:') ? httpsRequest : httpRequest
  return ({ path, form, json, cookies = [], bearer }) =>
    new Promise((resolve, reject) => {
      const body = bodyOf({ form, json })
      const fail = (cause: unknown) =>
        reject(signal.aborted ? signal.reason : new Error(noAnswer(url, cause), { cause }))
      const request = send(new URL(base + path, url), {
        method: body === undefined ? 'GET' : 'POST',
        agent: false,
        servername: hostname,
        signal: AbortSignal.any([signal, AbortSignal.timeout(answerLimitMs)]),
        headers: {
          host,
          'user-agent': agent,
          [testHeader.name]: testHeader.value.reveal(),
          accept: 'application/json, text/event-stream, text/html',
          ...(body === undefined
            ? {}
            : { 'content-type': body.type, 'content-length': Buffer.byteLength(body.text) }),
          ...(cookies.length === 0 ? {} : { cookie: cookieLine(cookies, tail) }),
          ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer.reveal()}` }),
        },
      })
      request.on('error', fail)
      request.on(
        'response',
        (answer) => void readAnswer(answer, { base, tail }).then(resolve, fail),
      )
      request.end(body?.text)
    })
}

function bodyOf({
  form,
  json,
}: {
  readonly form: Ask['form'] | undefined
  readonly json: unknown
}) {
  if (form !== undefined) {
    const text = new URLSearchParams(form).toString()
    return { type: 'application/x-www-form-urlencoded', text }
  }
  return json === undefined ? undefined : { type: 'application/json', text: JSON.stringify(json) }
}

function cookieLine(cookies: readonly (readonly [string, Secret])[], tail: string): string {
  return cookies.map(([name, value]) => `${name}${tail}=${value.reveal()}`).join('; ')
}

async function readAnswer(
  answer: IncomingMessage,
  { base, tail }: { readonly base: string; readonly tail: string },
): Promise<Answer> {
  let text = ''
  for await (const chunk of answer) {
    text += String(chunk)
    if (text.length > bytesMax) throw new Error('the answer is too long')
  }
  const { headers } = answer
  return {
    status: answer.statusCode ?? 0,
    header: (name) => {
      const value = [headers[name] ?? ''].flat().join(', ')
      const isWithin = name === 'location' && value.startsWith(`${base}/`)
      return isWithin ? value.slice(base.length) : value
    },
    cookie: (name) =>
      headers['set-cookie']
        ?.find((line) => line.startsWith(`${name}${tail}=`))
        ?.slice(name.length + tail.length + 1)
        .split(';')[0],
    text,
    json: parse(text),
  }
}

/** A stream of events has its JSON behind `data:`. */
function parse(text: string): Readonly<Record<string, unknown>> {
  const data = /^data: (?<json>\{.*\})$/m.exec(text)?.groups?.['json']
  try {
    const parsed: unknown = JSON.parse(data ?? text)
    return typeof parsed === 'object' && parsed !== null
      ? (parsed as Readonly<Record<string, unknown>>) // an object has names
      : {}
  } catch {
    return {} // a page, or nothing
  }
}

function noAnswer(url: string, cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : ''
  return `${url} does not answer${code}. Is Latchkey running? "--url" names another address.`
}
