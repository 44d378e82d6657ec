// How a new server is reached: as its owner says, else as discovery finds, and what discovery found in words for people.
import { Fault } from '../base/fault.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Discovery } from '../upstream/discover.ts'
import { needsBrowser } from '../upstream/grant.ts'
import type { Transport } from '../upstream/mcp.ts'
import { appliedQuirks } from '../upstream/quirks.ts'
import type { AppliedQuirk } from '../upstream/quirks.ts'
import { registrationWay } from '../upstream/register.ts'
import type { RegistrationWay } from '../upstream/register.ts'
import type { TraceStep } from '../upstream/trace.ts'
import type { Upstream } from '../upstream/upstream.ts'
import type { ServerAuth, ServerInput } from './server-input.ts'

/** What was found out about a server. */
export interface Discovered {
  readonly auth: ServerAuth
  readonly issuer?: string
  /** The server's own spelling of its identifier (RFC 9728 §2). */
  readonly resource?: string
  readonly scopesSupported?: readonly string[]
  /** How we will become a client there; `none` means that an admin has to enter one. */
  readonly registration?: RegistrationWay
  /** Nothing was published; the places are those of MCP 2025-03-26. */
  readonly isGuessed?: boolean
  /** The server also answers without a token. */
  readonly openToAll?: boolean
  /** How it speaks, where that shows without a credential. */
  readonly transport?: Transport
  /** What is done otherwise than the standards say, because this provider needs it. */
  readonly quirks?: readonly AppliedQuirk[]
  readonly trace: readonly TraceStep[]
}

interface Question {
  readonly tenant: Tenant
  readonly url: string
  readonly input: Omit<ServerInput, 'url'>
}

/** Decides, asking the server only when OAuth is possible. Throws what discovery throws. */
export async function decideAuth(
  { discover }: Upstream,
  { tenant, url, input }: Question,
): Promise<Discovered> {
  const { auth, issuer, grantType = 'authorization_code' } = input
  const isForPrograms = !needsBrowser(grantType)
  const hasHeaders = Object.keys(input.headers ?? {}).length > 0
  if (auth !== undefined && auth !== 'oauth') return { auth, trace: [] }
  if (auth === undefined && hasHeaders && !isForPrograms) return { auth: 'headers', trace: [] }
  const request = {
    tenant,
    serverUrl: url,
    fresh: true,
    isForPrograms,
    ...(issuer === undefined ? {} : { issuer }),
  }
  const found = await discover.inspect(request)
  const spoken = found.transport === undefined ? {} : { transport: found.transport }
  if (found.kind === 'oauth') return { ...describe(found.discovery, tenant, input), ...spoken }
  if (auth === 'oauth' || isForPrograms) {
    throw new Fault('metadata_discovery_failed', {
      because: `the server says nothing about signing in; it is ${found.kind}`,
    })
  }
  return { auth: found.kind === 'open' ? 'none' : 'headers', ...spoken, trace: found.trace }
}

function describe(
  discovery: Discovery,
  tenant: Tenant,
  input: Omit<ServerInput, 'url'>,
): Discovered {
  const { metadata, protectedResource } = discovery
  const scopes = protectedResource?.scopes_supported
  return {
    auth: 'oauth',
    issuer: discovery.issuer,
    resource: discovery.resource,
    ...(scopes === undefined ? {} : { scopesSupported: scopes }),
    registration: registrationWay(metadata, {
      issuer: tenant.issuer,
      isGiven: input.clientId !== undefined,
    }),
    isGuessed: discovery.isGuessed,
    openToAll: discovery.openToAll,
    quirks: appliedQuirks(discovery.issuer),
    trace: discovery.trace,
  }
}
