// Which scopes to ask for (MCP authorization, "Scope Selection Strategy"), and scope texts for the rooms above.
import { holdsSecret } from '../journal/no-secrets.ts'
import { isSubset, parseScope, tidyScope, unionScopes } from '../oauth/scope.ts'
import type { Discovery } from './discover.ts'

export { isSubset, parseScope, unionScopes }

/** What else is known about the scopes of a sign-in. */
export interface ScopeWishes {
  /** Set by an admin: asked for instead of what discovery found. */
  readonly configured?: string | undefined
  /** Asked for in this sign-in on top, for instance after `insufficient_scope`. */
  readonly additional?: readonly string[]
  /** Asked for the time before; a step-up keeps them. */
  readonly previous?: readonly string[]
  /** A person signs in, and what comes of it should last. */
  readonly mayStay?: boolean
}

/**
 * The scopes to ask for: the challenge's, else all that the resource lists, else none, so that the server decides.
 * Step-up asks for the union. `offline_access` is added only where the authorization server lists it.
 */
export function chooseScopes(discovery: Discovery, wishes: ScopeWishes): readonly string[] {
  const found = discovery.challengeScope ?? discovery.protectedResource?.scopes_supported?.join(' ')
  const base = scopesOf(wishes.configured ?? found)
  const previous = wishes.additional?.length ? (wishes.previous ?? []) : []
  const wanted = unionScopes(unionScopes(previous, base), wishes.additional ?? [])
  const isOffered = discovery.metadata.scopes_supported?.includes('offline_access') ?? false
  const mayStay = isOffered && wishes.mayStay !== false
  return wanted.length > 0 && mayStay ? unionScopes(wanted, ['offline_access']) : wanted
}

const toldMax = 50
const toldCharsMax = 100

/** Scopes as the journal takes them: somebody else chose these words, and none of them may keep an entry from being written. */
export function toldScopes(scopes: readonly string[]): readonly string[] {
  const isTold = (scope: string) => scope.length <= toldCharsMax && !holdsSecret(scope)
  return scopes.filter(isTold).slice(0, toldMax)
}

/** The scopes in a text that came from elsewhere; what breaks the grammar is left out. */
export function scopesOf(text: string | undefined): readonly string[] {
  const tidy = tidyScope(text ?? '')
  return tidy === undefined ? [] : parseScope(tidy)
}
