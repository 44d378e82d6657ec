// Which of a server's authorization servers is taken (RFC 9728 §7.6): the one that people signed in at before, else the
// first that is in order. Where they are named is left to discover.ts.
import { Fault, isFault } from '../base/fault.ts'
import type { AuthorizationServerMetadata } from '../oauth/metadata.ts'
import { isSameIssuer } from './adapt.ts'
import { findAuthorizationServer } from './authorization-server.ts'

type Needs = Parameters<typeof findAuthorizationServer>[0]

/** An authorization server that can be signed in at. */
export interface FoundServer {
  readonly metadata: AuthorizationServerMetadata
  readonly isGuessed: boolean
}

const issuersTriedMax = 5
const refusedStep = 'authorization_server_refused'
const chosenStep = 'authorization_server_chosen'

/** In which order to try them; whoever was taken before stays while the server names it. */
export function inOrder(
  issuers: readonly string[],
  before: string | undefined,
): readonly Candidate[] {
  const isBefore = (issuer: string) => before !== undefined && isSameIssuer(issuer, before)
  const [known, others] = [issuers.filter(isBefore), issuers.filter((one) => !isBefore(one))]
  const isOneOfSeveral = issuers.length > 1
  return [
    ...known.map((issuer) => ({ issuer, isOneOfSeveral, because: 'the same as before' })),
    ...others.map((issuer) => ({ issuer, isOneOfSeveral, because: 'the first in order' })),
  ]
}

interface Candidate {
  readonly issuer: string
  readonly isOneOfSeveral: boolean
  /** Why it is taken, if it is. */
  readonly because: string
}

/** The first that is in order. Throws the first refusal when none is. */
export async function firstUsable(
  tools: Needs,
  candidates: readonly Candidate[],
): Promise<FoundServer> {
  let firstRefusal: unknown
  for (const { issuer, isOneOfSeveral, because } of candidates.slice(0, issuersTriedMax)) {
    try {
      const metadata = await requireMetadata(tools, issuer)
      if (isOneOfSeveral) tools.trace.note({ step: chosenStep, url: issuer, outcome: because })
      return { metadata, isGuessed: false }
    } catch (error) {
      if (!isFault(error)) throw error
      tools.trace.note({ step: refusedStep, url: issuer, outcome: error.code })
      tools.trace.saw?.({ step: refusedStep, url: issuer, error })
      firstRefusal ??= error
    }
  }
  throw firstRefusal
}

async function requireMetadata(tools: Needs, issuer: string): Promise<AuthorizationServerMetadata> {
  const metadata = await findAuthorizationServer(tools, issuer)
  if (metadata !== undefined) return metadata
  throw new Fault('metadata_discovery_failed', { because: `${issuer} publishes no metadata` })
}
