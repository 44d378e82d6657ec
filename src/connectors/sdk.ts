// How the MCP SDK's client calls a server: with our live token or the server's fixed headers, a proof where the token is
// bound to a key, and a fetch that reaches no private address. Refreshing is upstream's: the SDK's own has no lock.
import type {
  AuthProvider,
  FetchLike,
  StreamableHTTPClientTransportOptions,
} from '@modelcontextprotocol/client'
import { fetch as undiciFetch, Headers } from 'undici'
import type { Response } from 'undici'
import { Fault } from '../base/fault.ts'
import type { Outbound } from '../base/outbound.ts'
import type { Secret } from '../base/secret.ts'
import type { Credential } from './credential.ts'
import type { AnswerHeaders, Presenter } from './present.ts'

/** What the SDK's `StreamableHTTPClientTransport` is made with. */
export interface McpTransport {
  readonly url: URL
  readonly options: Pick<
    StreamableHTTPClientTransportOptions,
    'authProvider' | 'requestInit' | 'fetch'
  >
}

/** What a call to one server is asked for. */
export interface McpAccess {
  readonly credential: () => Promise<Credential>
  /** After the server's 401, with the credential that it refused. */
  readonly afterUnauthorized: (refused: Credential | undefined) => Promise<Credential>
}

/** Who makes calls to one server, and what the latest of them carries. */
interface Caller {
  readonly provider: AuthProvider
  readonly latest: () => Credential | undefined
}

/**
 * Gives calls a token that works now, and renews it once when the server refuses it. Throws
 * Fault('authorization_required' | 'reauthorization_required' | 'refresh_token_rejected') where only the person can help.
 */
function createCaller({ credential, afterUnauthorized }: McpAccess): Caller {
  let latest: Credential | undefined
  return {
    latest: () => latest,
    provider: {
      token: async () => {
        latest = await credential()
        return tokenOf(latest)?.reveal()
      },
      onUnauthorized: async () => {
        tokenOf(await afterUnauthorized(latest))
      },
    },
  }
}

function tokenOf(credential: Credential): Secret | undefined {
  if (credential.kind === 'bearer') return credential.token
  if (credential.kind !== 'authorization_required') return undefined
  throw signInNeeded(credential.reason)
}

function signInNeeded(reason: string): Fault {
  const isFirst = reason === 'disconnected' || reason === 'revoked'
  if (isFirst) return new Fault('authorization_required', { because: reason })
  const code =
    reason === 'refresh_token_rejected' ? 'refresh_token_rejected' : 'reauthorization_required'
  return new Fault(code, { because: reason })
}

interface TransportNeeds {
  readonly outbound: Outbound
  readonly presenter: Presenter
  readonly access: McpAccess
}

/** How the SDK reaches a server: through our guard, with what the server wants. */
export async function transportTo(text: string, needs: TransportNeeds): Promise<McpTransport> {
  const url = new URL(text)
  const { kind } = await needs.access.credential()
  if (kind === 'none' || kind === 'headers') {
    return { url, options: { fetch: createFetch(needs, url, needs.access.credential) } }
  }
  const { provider, latest } = createCaller(needs.access)
  return { url, options: { fetch: createFetch(needs, url, latest), authProvider: provider } }
}

/** The platform's fetch would go anywhere, and users chose these addresses; what a call carries is shown to its server only. */
function createFetch(
  { outbound, presenter }: Pick<TransportNeeds, 'outbound' | 'presenter'>,
  server: URL,
  credential: () => Promise<Credential> | Credential | undefined,
): FetchLike {
  return async (text, init) => {
    const url = outbound.vet(String(text))
    const asked = init as Parameters<typeof undiciFetch>[1] // the same shape under another name
    const isServer = url.origin === server.origin && url.pathname === server.pathname
    const carried = isServer ? await credential() : undefined
    const shown = carried?.kind === 'authorization_required' ? undefined : carried
    const send = () => {
      const { method = 'GET' } = asked ?? {}
      const fields = shown && presenter.present(shown, { method, url: url.href })
      const headers = withFields(new Headers(asked?.headers), fields)
      // What is shown to the server goes nowhere else: a fetch would take all but `Authorization` along to another origin.
      const way = fields === undefined ? {} : { redirect: 'manual' as const }
      return undiciFetch(url, { ...asked, ...way, headers, dispatcher: outbound.dispatcher })
    }
    const answer = await send()
    if (shown === undefined || !presenter.heard(shown, url.href, heardIn(answer))) return answer
    await answer.body?.cancel()
    return send()
  }
}

function withFields(headers: Headers, fields: Readonly<Record<string, Secret>> = {}): Headers {
  for (const [name, value] of Object.entries(fields)) headers.set(name, value.reveal())
  return headers
}

function heardIn({ status, headers }: Response): AnswerHeaders {
  return { status, challenge: headers.get('www-authenticate'), nonce: headers.get('dpop-nonce') }
}
