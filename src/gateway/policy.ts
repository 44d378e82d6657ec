// What a verified caller may do: which tools of a server the scopes of a token open. A server that says nothing of scopes
// has one that opens all of it.
import type { Server, ToolPolicy, ToolScope } from '../connectors/servers.ts'
import { toolsScope, usualAmong, withIncluded } from '../issuer/scopes.ts'
import type { RegisteredScope } from '../issuer/scopes.ts'
import type { TokenPrincipal } from '../people/principal.ts'
import type { Call } from './calls.ts'
import { isJsonObject } from './exact-json.ts'

/** The rules of one server. */
export interface Policy {
  /** What a client that names no scope is told to ask for. */
  readonly usualScopes: readonly string[]
  readonly decide: (principal: TokenPrincipal, call: Call) => Decision
  /** Which tools a caller is offered; absent: all of them. */
  readonly offers?: (principal: TokenPrincipal) => IsOffered
  /** Only tools that say of themselves that they change nothing may be called; who knows of which, has to look. */
  readonly isReadOnly?: true
}

/** Is this tool for the caller? What it says of itself comes along. */
export type IsOffered = (tool: string, described: Readonly<Record<string, unknown>>) => boolean

export type Decision =
  | { readonly kind: 'allowed' }
  /** The scopes that the call needs, all of them (RFC 6750 §3.1; MCP authorization, "Runtime insufficient scope"). */
  | { readonly kind: 'lacks'; readonly scopes: readonly string[] }
  /** No scope opens it. */
  | { readonly kind: 'closed'; readonly because?: string }

const allowed = { kind: 'allowed' } as const

/** Makes the policy of a server; the registry holds which scope includes which. */
export async function policyFor(
  { toolScopes, toolPolicy }: Pick<Server, 'toolScopes' | 'toolPolicy'>,
  registry: () => Promise<readonly RegisteredScope[]>,
): Promise<Policy> {
  const ofScopes = toolScopes === undefined ? onePolicy : scopedPolicy(toolScopes, await registry())
  return toolPolicy === undefined ? ofScopes : narrowed(ofScopes, toolPolicy)
}

/** One scope opens everything. */
export const onePolicy: Policy = {
  usualScopes: [toolsScope],
  decide: ({ scopes }) =>
    scopes.includes(toolsScope) ? allowed : { kind: 'lacks', scopes: [toolsScope] },
}

/** The scopes of all servers as one, out of those that any of them names, and which a client is told to ask for. */
export function scopesTogether(
  named: readonly string[],
  registry: readonly RegisteredScope[],
): { readonly scopes: readonly string[]; readonly usual: readonly string[] } {
  const usual = named.length === 0 ? [] : usualAmong(registry, named)
  return {
    scopes: [...new Set([toolsScope, ...named])],
    usual: [...new Set([toolsScope, ...usual])],
  }
}

function scopedPolicy(
  toolScopes: readonly ToolScope[],
  registry: readonly RegisteredScope[],
): Policy {
  const heldBy = ({ scopes }: TokenPrincipal) => withIncluded(registry, scopes)
  const usualScopes = usualAmong(
    registry,
    toolScopes.map(({ scope }) => scope),
  )
  const opening = (tool: string) => scopesOpening(toolScopes, tool)

  const decideTools = (held: ReadonlySet<string>, tools: readonly string[]): Decision => {
    const ways = tools.map(opening)
    if (ways.some((scopes) => scopes.length === 0)) return { kind: 'closed' }
    const isShut = (scopes: readonly ToolScope[]) => scopes.every(({ scope }) => !held.has(scope))
    if (!ways.some(isShut)) return allowed
    // Where several scopes open a tool, the first of the list does.
    const needed = ways.flatMap(([first]) => (first === undefined ? [] : [first.scope]))
    return { kind: 'lacks', scopes: [...new Set(needed)] }
  }

  return {
    usualScopes,
    decide: (principal, call) => {
      const held = heldBy(principal)
      if (call.hasUnnamedTool === true) return { kind: 'closed' }
      const tools = toolsOf(call)
      if (tools.length > 0) return decideTools(held, tools)
      // What is no call of a tool is open to whoever may call one.
      const isOpen = toolScopes.some(({ scope }) => held.has(scope))
      return isOpen ? allowed : { kind: 'lacks', scopes: usualScopes }
    },
    offers: (principal) => {
      const held = heldBy(principal)
      return (tool) => opening(tool).some(({ scope }) => held.has(scope))
    },
  }
}

/** Those of a server's scopes that open a tool. */
export function scopesOpening(
  toolScopes: readonly ToolScope[],
  tool: string,
): readonly ToolScope[] {
  return toolScopes.filter(({ tools }) => isAmong(tools, tool))
}

/** Do the lists of a server's policy leave this tool open? */
export function isListedOpen({ allow, deny = [] }: ToolPolicy, tool: string): boolean {
  return (allow === undefined || isAmong(allow, tool)) && !isAmong(deny, tool)
}

/** What the server's own policy closes, no scope opens. */
function narrowed(policy: Policy, toolPolicy: ToolPolicy): Policy {
  const { readOnly = false } = toolPolicy
  const isOpen = (tool: string) => isListedOpen(toolPolicy, tool)
  return {
    ...policy,
    decide: (principal, call) => {
      const isClosed = call.hasUnnamedTool === true || !toolsOf(call).every(isOpen)
      return isClosed ? { kind: 'closed', because: closedWords } : policy.decide(principal, call)
    },
    offers: (principal) => {
      const offered = policy.offers?.(principal)
      return (tool, described) =>
        isOpen(tool) &&
        (!readOnly || saysReadOnly(described)) &&
        (offered === undefined || offered(tool, described))
    },
    ...(readOnly ? { isReadOnly: true } : {}),
  }
}

const closedWords = 'the policy of the server closes this tool'

/** MCP, `ToolAnnotations`: what does not say so may write. */
export function saysReadOnly({ annotations }: Readonly<Record<string, unknown>>): boolean {
  return isJsonObject(annotations) && annotations['readOnlyHint'] === true
}

export function toolsOf({ tool, batchedTools = [] }: Call): readonly string[] {
  return tool === undefined ? batchedTools : [tool]
}

function isAmong(patterns: readonly string[], tool: string): boolean {
  return patterns.some((pattern) => stands(pattern, tool))
}

function stands(pattern: string, tool: string): boolean {
  return pattern.endsWith('*') ? tool.startsWith(pattern.slice(0, -1)) : pattern === tool
}
