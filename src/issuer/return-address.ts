// Where the answer to an authorization request may go. A ReturnAddress can only be made from a redirect URI that its
// client has registered, so a refusal that comes before that proof cannot redirect (RFC 6749 §4.1.2.1, X-02).
import { callersFault, describeFault, faultCatalogue } from '../base/fault.ts'
import type { Fault } from '../base/fault.ts'
import { matchRedirectUri } from '../oauth/redirect-uri.ts'
import { errorDescription } from '../oauth/shown-text.ts'
import type { Tenant } from '../people/tenants.ts'
import type { AuthorizationRequestRow } from '../store/schema.ts'
import type { Client } from './clients.ts'

declare const proven: unique symbol

export interface ReturnAddress {
  readonly [proven]: true
  readonly redirectUri: string
  readonly state: string | undefined
  readonly issuer: string
}

/** A step of the hub that sends the browser back to the client. */
export interface RedirectStep {
  readonly kind: 'redirect'
  readonly location: string
}

/** Proves that the client registered the redirect URI, or takes its only one. Throws Fault('invalid_redirect_uri'). */
export function proveReturnAddress(
  { issuer }: Tenant,
  { metadata }: Client,
  asked: { readonly redirectUri: string | undefined; readonly state: string | undefined },
): ReturnAddress {
  const registered = metadata.redirect_uris
  const [only, ...others] = registered
  const implied = others.length === 0 ? only : undefined
  const redirectUri =
    asked.redirectUri === undefined ? implied : matchRedirectUri(registered, asked.redirectUri)
  if (redirectUri === undefined) {
    throw callersFault(
      'invalid_redirect_uri',
      'the redirect URI is not one that the client has registered, letter by letter',
    )
  }
  return { redirectUri, state: asked.state, issuer } as ReturnAddress // The brand exists for the compiler only.
}

/** The address in a stored request, which was proven before it was stored. */
export function storedReturnAddress(
  { issuer }: Tenant,
  { redirect_uri, state }: AuthorizationRequestRow,
): ReturnAddress {
  return { redirectUri: redirect_uri, state: state ?? undefined, issuer } as ReturnAddress // The brand again.
}

/** Sends a code back (RFC 6749 §4.1.2, with `iss` of RFC 9207). */
export function returnCode(to: ReturnAddress, code: string): RedirectStep {
  return answer(to, { code })
}

/** Sends an error back (RFC 6749 §4.1.2.1, with `iss` of RFC 9207). */
export function returnError(to: ReturnAddress, fault: Fault): RedirectStep {
  const { code } = fault
  const { oauth } = faultCatalogue[code]
  const description = code === 'access_denied' ? denied : errorDescription(describeFault(fault))
  return answer(to, { error: oauth ?? code, error_description: description })
}

// The catalogue's words are for somebody whom another server has refused; here it is our own person who said no.
const denied = 'User denied authorization'

// The stored text is added to, never parsed and written anew (threats.md 1c).
function answer(
  { redirectUri, state, issuer }: ReturnAddress,
  facts: Readonly<Record<string, string>>,
): RedirectStep {
  const query = new URLSearchParams({
    ...facts,
    ...(state === undefined ? {} : { state }),
    iss: issuer,
  })
  const separator = redirectUri.includes('?') ? '&' : '?'
  return { kind: 'redirect', location: `${redirectUri}${separator}${query.toString()}` }
}
