// The callback of an app in place of ours: a page on an origin that the operator allows, with the server's context behind
// it, so that what comes there is as surely told apart as at our own redirect URIs (RFC 9700 §4.4.2).
import { Fault } from '../base/fault.ts'
import { invalid } from './server-input.ts'

/** What the page of an app was called with, and where. */
export interface BroughtAnswer {
  readonly state: string
  /** The address of the page as the browser shows it, without its parameters. */
  readonly redirectUri: string
  readonly code?: string | undefined
  readonly iss?: string | undefined
  readonly error?: string | undefined
}

/** The redirect URI of an app for one context. Throws Fault('invalid_input') for a page that is not an allowed one. */
export function appRedirectUri(
  returnOrigins: readonly string[],
  callbackUrl: string,
  context: string,
): string {
  if (isAppPage(returnOrigins, callbackUrl)) return `${callbackUrl}/${context}`
  throw invalid(
    'callbackUrl',
    'Give the address of a page on an origin of LATCHKEY_RETURN_ORIGINS, without parameters and slash at the end.',
  )
}

/** The answer as the query that came with it. Throws Fault('state_mismatch') when it came to no app of ours. */
export function queryOf(
  returnOrigins: readonly string[],
  { redirectUri, state, code, iss, error }: BroughtAnswer,
): URLSearchParams {
  if (!isAppPage(returnOrigins, redirectUri)) {
    throw new Fault('state_mismatch', { because: 'the answer came to no allowed page of an app' })
  }
  const parameters = Object.entries({ state, code, iss, error }).flatMap(
    ([name, value]): [string, string][] => (value === undefined ? [] : [[name, value]]),
  )
  return new URLSearchParams(parameters)
}

/** Written as the browser would write it, so that it can be compared byte for byte. */
function isAppPage(returnOrigins: readonly string[], text: string): boolean {
  if (!URL.canParse(text)) return false
  const { origin, pathname, href } = new URL(text)
  const isWhole = href === text && origin + pathname === text && !text.endsWith('/')
  return isWhole && returnOrigins.includes(origin)
}
