// The scopes that our tokens can carry, with the words that a person sees before agreeing (S3-26). What a scope permits
// is enforced where the tools are.
import { Fault } from '../base/fault.ts'
import { isSubset } from '../oauth/scope.ts'

/** One scope as the consent page shows it. */
export interface ShownScope {
  readonly name: string
  readonly words: string
  readonly icon: string
}

/** The scope that every server of ours has: to call its tools. */
export const toolsScope = 'mcp'

/** The scopes that tell a client who its person is (OIDC Core §5.4); they can be asked for beside any other. */
export const identityScopes = { openid: 'openid', profile: 'profile', email: 'email' } as const

const registry: readonly ShownScope[] = [
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

/** The scopes with their words, in the order of the registry. */
export function showScopes(names: readonly string[]): readonly ShownScope[] {
  return registry.filter(({ name }) => names.includes(name))
}

/** The names that the registry has, out of those given. */
export function knownScopes(names: readonly string[]): readonly string[] {
  return showScopes(names).map(({ name }) => name)
}

/** Throws Fault('invalid_input') for a scope that nothing here has. */
export function requireKnownScopes(scopes: readonly string[]): readonly string[] {
  const unknown = scopes.find((scope) => knownScopes([scope]).length === 0)
  if (unknown === undefined) return scopes
  throw new Fault('invalid_input', {
    because: 'a scope is unknown',
    detail: { scopes: 'One of these scopes does not exist here.' },
  })
}

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
  if (chosen.length === 0 || !isSubset(chosen, available)) {
    throw new Fault('invalid_scope', { because: 'a scope is asked for that cannot be had here' })
  }
  return chosen
}
