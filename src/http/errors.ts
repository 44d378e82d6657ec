// How a refusal looks from outside: RFC 6749 for OAuth, RFC 9457 for REST, a page for people. The words come from the
// catalogue; what we know besides (`because`) goes to the log, and to the caller only where it is about nothing but the
// request. JSON-RPC errors are made by the gateway.
import { Fault, describeFault, faultCatalogue, isFault } from '../base/fault.ts'
import type { Log } from '../base/log.ts'
import type { Tenant } from '../people/tenants.ts'
import { isStoreUnavailable } from '../store/unavailable.ts'
import { json } from './answers.ts'
import { errorPage } from './pages/error.ts'
import type { Surface } from './route.ts'

interface Refused {
  readonly surface: Surface
  readonly tenant: Tenant | undefined
  readonly request: Request
  /** The path of the row, without anybody's ids. */
  readonly path: string | undefined
}

/** Turns whatever was thrown into an answer, and logs it: a Fault as what it is, anything else as `internal`. */
export async function renderError(log: Log, thrown: unknown, refused: Refused): Promise<Response> {
  const fault = asFault(thrown)
  const { status } = faultCatalogue[fault.code]
  const { path } = refused
  const facts = { code: fault.code, because: fault.because, status, path, cause: fault.cause }
  if (status >= 500) log.error(facts, 'a request failed')
  else log.info(facts, 'a request was refused')

  const response = await renderers[refused.surface](fault, refused)
  if (fault.retryAfterS !== undefined) response.headers.set('retry-after', `${fault.retryAfterS}`)
  if (fault.dpopNonce !== undefined) response.headers.set('dpop-nonce', fault.dpopNonce)
  return response
}

/** A database that is away is nobody's mistake: the same request may succeed in a moment. */
export function asFault(thrown: unknown): Fault {
  if (isFault(thrown)) return thrown
  if (!isStoreUnavailable(thrown)) {
    return new Fault('internal', { because: 'something unexpected was thrown', cause: thrown })
  }
  const because = 'the database cannot be asked now'
  return new Fault('temporarily_unavailable', { because, cause: thrown, retryAfterS: 5 })
}

const renderers: Record<Surface, (fault: Fault, refused: Refused) => Response | Promise<Response>> =
  {
    oauth: (fault, { tenant, request }) => {
      const { status, oauth } = faultCatalogue[fault.code]
      const challenge = oauthChallenge(fault, { tenant, request })
      const headers = challenge === undefined ? {} : { 'www-authenticate': challenge }
      return json(
        { error: oauth ?? fault.code, error_description: asDescription(describeFault(fault)) },
        status,
        headers,
      )
    },

    api: (fault) => {
      const { status, words, retryable, reauthorize } = faultCatalogue[fault.code]
      const problem = {
        type: 'about:blank',
        title: words,
        status,
        code: fault.code,
        retryable,
        reauthorize,
        ...(fault.reauthUrl === undefined ? {} : { reauthUrl: fault.reauthUrl }),
        ...(fault.detail === undefined ? {} : { detail: fault.detail }),
      }
      const headers: Record<string, string> = { 'content-type': 'application/problem+json' }
      if (status === 401) headers['www-authenticate'] = 'Bearer realm="api"'
      return json(problem, status, headers)
    },

    page: (fault, { tenant }) => {
      const { status } = faultCatalogue[fault.code]
      // RFC 6749 §4.1.2.1: for a person an unknown client is a bad link; RFC 9110 §15.5.2: a 401 would need a challenge.
      const shown = fault.code === 'invalid_client' ? 400 : status
      return errorPage({ tenant, status: shown, words: describeFault(fault), detail: fault.detail })
    },
  }

/** How to come instead: with a token (RFC 6750 §3), or as the client that tried to prove itself so (RFC 6749 §5.2). */
function oauthChallenge(
  { code }: Fault,
  { tenant, request }: Pick<Refused, 'tenant' | 'request'>,
): string | undefined {
  const hasTried = request.headers.has('authorization')
  // RFC 6750 §3.1: who sent no token is told no error about it.
  if (code === 'invalid_token') return hasTried ? 'Bearer error="invalid_token"' : 'Bearer'
  const isProofAsked = faultCatalogue[code].status === 401 && hasTried
  return isProofAsked ? `Basic realm="${tenant?.issuer ?? 'Latchkey'}"` : undefined
}

const descriptionCharsMax = 500

/** RFC 6749 §5.2: error_description has only printable ASCII without `"` and `\`. */
function asDescription(words: string): string {
  return words
    .slice(0, descriptionCharsMax)
    .replaceAll('’', "'")
    .replaceAll(/[^\x20-\x7e]/g, '')
    .replaceAll(/["\\]/g, "'")
}
