// The authorization server's side of discovery: its metadata (RFC 8414, OIDC Discovery), found in the order MCP asks for,
// and what a server of the 2025-03-26 revision is taken to offer when it publishes nothing.
import { Fault, isFault } from '../base/fault.ts'
import type { Outbound } from '../base/outbound.ts'
import { readAuthorizationServerMetadata, requireS256 } from '../oauth/metadata.ts'
import type { AuthorizationServerMetadata } from '../oauth/metadata.ts'
import { authorizationServerUrls } from '../oauth/well-known.ts'
import { completedMetadata, spelledIssuer } from './adapt.ts'
import { readDocument } from './protected-resource.ts'
import type { Trace } from './trace.ts'

export { authorizationServerUrls }

interface Needs {
  readonly outbound: Outbound
  readonly trace: Trace
  readonly signal: AbortSignal
  /** A server where no code is asked for need not protect one. */
  readonly isForPrograms?: boolean | undefined
}

/**
 * The metadata of an issuer, or undefined when it publishes none. A document that is there but wrong is refused and ends
 * the search (RFC 8414 §3.3): issuer_mismatch, pkce_unsupported, insecure_endpoint, metadata_discovery_failed.
 */
export async function findAuthorizationServer(
  needs: Needs,
  issuer: string,
): Promise<AuthorizationServerMetadata | undefined> {
  needs.outbound.vet(issuer)
  for (const url of authorizationServerUrls(issuer)) {
    const document = await readDocument(needs, 'authorization_server_metadata', url)
    if (document === undefined) continue
    const completed = completedMetadata(issuer, document)
    const metadata = readAuthorizationServerMetadata(completed, spelledIssuer(issuer, completed))
    if (!needs.isForPrograms) requireS256(metadata)
    await requireReachable(needs.outbound, metadata)
    return metadata
  }
  return undefined
}

/** The places that MCP 2025-03-26 gives an authorization server without metadata; S256 was required there already. */
export function guessedMetadata(origin: string): AuthorizationServerMetadata {
  return {
    issuer: origin,
    authorization_endpoint: `${origin}/authorize`,
    token_endpoint: `${origin}/token`,
    registration_endpoint: `${origin}/register`,
    response_types_supported: ['code'],
    code_challenge_methods_supported: ['S256'],
  }
}

// OAuth 2.1 §1.5: every endpoint is https, but for the networks that the operator allowed. Where the person signs in is
// reached by their browser and never by us, so its name is judged here or nowhere.
async function requireReachable(
  outbound: Outbound,
  metadata: AuthorizationServerMetadata,
): Promise<void> {
  const ours = ['token_endpoint', 'registration_endpoint', 'revocation_endpoint'] as const
  for (const name of ours) {
    const url = metadata[name]
    if (url !== undefined) await named(name, async () => outbound.vet(url))
  }
  await named('authorization_endpoint', () => outbound.vetResolved(metadata.authorization_endpoint))
}

/** Says in the reason of a refusal which of the addresses it is about. */
async function named(name: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!isFault(error)) throw error
    const { code, because, detail, cause } = error
    throw new Fault(code, {
      because: `${name}: ${because}`,
      cause,
      ...(detail === undefined ? {} : { detail }),
    })
  }
}
