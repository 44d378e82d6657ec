// The scopes that every tenant has, and the rules of choosing among scopes. What a tenant adds or says in other words is
// in scope-registry.ts; what a scope permits is enforced where the tools are.
import { callersFault } from '../base/fault.ts'
import { isSubset } from '../oauth/scope.ts'

/** One scope as the consent page shows it. */
export interface ShownScope {
  readonly name: string
  readonly words: string
  readonly icon: string
  /** The words of the scopes that it holds besides itself, if there are any. */
  readonly holds?: readonly string[]
}

/** A scope as a tenant's registry has it. */
export interface RegisteredScope extends Omit<ShownScope, 'holds'> {
  /** Is it given to a client that names no scope? Any other has to be asked for by name. */
  readonly isUsual: boolean
  /** The scopes that it holds besides itself. */
  readonly includes: readonly string[]
}

/** The scope that every server has that says nothing else: to call its tools. */
export const toolsScope = 'mcp'

/** The scopes that tell a client who its person is (OIDC Core §5.4); they can be asked for beside any other. */
export const identityScopes = { openid: 'openid', profile: 'profile', email: 'email' } as const

const shown: readonly ShownScope[] = [
  { name: toolsScope, words: "Use this server's tools for you", icon: '🔧' },
  { name: 'memories:read', words: 'Read your memories and related data', icon: '📖' },
  { name: 'memories:write', words: 'Create, update, and delete your memories', icon: '✏️' },
  {
    name: 'entities:read',
    words: 'Read your entities (people, organizations, projects)',
    icon: '👥',
  },
  { name: 'entities:write', words: 'Create, update, and delete your entities', icon: '👤' },
  { name: identityScopes.openid, words: 'Recognise you when you come back', icon: '🪪' },
  { name: identityScopes.profile, words: 'See your name', icon: '🙂' },
  { name: identityScopes.email, words: 'See your email address', icon: '✉️' },
]

/** What every tenant has (S3-26), in the order in which scopes are shown. */
export const builtInScopes: readonly RegisteredScope[] = shown.map(({ name, words, icon }) => ({
  name,
  words,
  icon,
  isUsual: true,
  includes: [],
}))

/** Out of these scopes those that a client may have: all of them, unless it registered for less (RFC 7591 §2). */
export function allowedScopes(
  scopes: readonly string[],
  registered: readonly string[],
): readonly string[] {
  if (registered.length === 0) return scopes
  return scopes.filter((scope) => registered.includes(scope))
}

/** The scopes asked for, or the usual ones when none is named (RFC 6749 §3.3). Throws Fault('invalid_scope'). */
export function chooseScopes(
  asked: readonly string[],
  {
    usual,
    available,
  }: { readonly usual: readonly string[]; readonly available: readonly string[] },
): readonly string[] {
  const chosen = asked.length === 0 ? usual : asked
  if (chosen.length > 0 && isSubset(chosen, available)) return chosen
  const other = chosen.find((scope) => !available.includes(scope))
  const which = other === undefined ? 'any scope' : `the scope ${other.slice(0, shownCharsMax)}`
  throw callersFault('invalid_scope', `${which} cannot be had here`)
}

const shownCharsMax = 64

/** Out of these scopes those that a client gets that names none: the usual ones, or all if there is no usual one. */
export function usualAmong(
  registry: readonly RegisteredScope[],
  names: readonly string[],
): readonly string[] {
  const unusual = new Set(registry.filter(({ isUsual }) => !isUsual).map(({ name }) => name))
  const usual = names.filter((name) => !unusual.has(name))
  return usual.length === 0 ? names : usual
}

/** These scopes with everything that they hold besides (MCP authorization, "Scope hierarchies"). A circle does no harm. */
export function withIncluded(
  registry: readonly RegisteredScope[],
  held: readonly string[],
): ReadonlySet<string> {
  const all = new Set(held)
  // A set gives what is added while it is walked, so this ends when nothing new is held.
  for (const name of all) {
    const { includes = [] } = registry.find((scope) => scope.name === name) ?? {}
    for (const included of includes) all.add(included)
  }
  return all
}
