// The way out of the verifiers: to the one authorization server that the settings name, with limits on time, size and
// redirects. A guarded client for addresses that strangers choose is not needed here, so none is loaded.
import { collectUpTo } from '../base/collect.ts'
import { Fault } from '../base/fault.ts'

/** What tests and unusual networks put in the place of `fetch`. */
export type Fetch = (url: string, init?: RequestInit) => Promise<Response>

const timeMs = 5_000
const bytesMax = 262_144

async function* none(): AsyncGenerator<Uint8Array> {}

/** Fetches with limits. Throws Fault('temporarily_unavailable') when no whole answer came. */
export async function boundedFetch(
  url: string,
  init: RequestInit,
  fetch: Fetch = globalThis.fetch,
): Promise<Response> {
  try {
    const signal = AbortSignal.timeout(timeMs)
    const response = await fetch(url, { ...init, redirect: 'error', signal })
    const { status, headers, body } = response
    const bytes = await collectUpTo(body ?? none(), bytesMax)
    if (bytes === undefined) throw new RangeError('the answer is too long')
    const given = hasNoBody(status) ? null : new Uint8Array(bytes)
    return new Response(given, { status, headers: plainHeaders(headers) })
  } catch (cause) {
    // Its own words can hold the address with what was sent to it.
    const name = cause instanceof Error ? cause.name : 'an unknown error'
    throw unavailable(`asking the authorization server ended with ${name}`)
  }
}

/** The answer's JSON object. Throws Fault('temporarily_unavailable') for anything else. */
export async function jsonOf(response: Response): Promise<Readonly<Record<string, unknown>>> {
  const json: unknown = await response.json().catch(() => undefined)
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) {
    return json as Record<string, unknown> // an object that is no array
  }
  throw unavailable('the authorization server answered with something that is no JSON object')
}

/** The guard answers 503 for it: a client keeps its token and tries again. */
export function unavailable(because: string): Fault {
  return new Fault('temporarily_unavailable', { because })
}

/**
 * An address that secrets may be sent to: https, or http on this machine (RFC 8252 §8.3). Throws an Error that names the
 * setting.
 */
export function requireSafe(name: string, text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isLoopback = ['localhost', '127.0.0.1', '[::1]'].includes(url?.hostname ?? '')
  if (url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback)) return text
  throw new Error(`${name} must be an https address, or http on this machine`)
}

function hasNoBody(status: number): boolean {
  return status === 204 || status === 205 || status === 304
}

/** The body was decoded, so what said how it was encoded is not true any more. */
function plainHeaders(headers: Headers): Headers {
  const plain = new Headers(headers)
  for (const name of ['content-encoding', 'content-length']) plain.delete(name)
  return plain
}
