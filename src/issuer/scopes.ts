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
]

/** The scopes with their words, in the order of the registry. */
export function showScopes(names: readonly string[]): readonly ShownScope[] {
  return registry.filter(({ name }) => names.includes(name))
}

/** The names that the registry has, out of those given. */
export function knownScopes(names: readonly string[]): readonly string[] {
  return showScopes(names).map(({ name }) => name)
}

/** The scopes asked for, or all that may be had when none is named (RFC 6749 §3.3). Throws Fault('invalid_scope'). */
export function chooseScopes(
  asked: readonly string[],
  available: readonly string[],
): readonly string[] {
  const chosen = asked.length === 0 ? available : asked
  if (chosen.length === 0 || !isSubset(chosen, available)) {
    throw new Fault('invalid_scope', { because: 'a scope is asked for that cannot be had here' })
  }
  return chosen
}
