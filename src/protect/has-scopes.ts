// Questions that tools ask about the scopes of their caller.

interface Scoped {
  readonly scopes: readonly string[]
}

/** The scopes of a caller; none where nobody was let in. */
export function getScopes(caller: Scoped | undefined): readonly string[] {
  return caller?.scopes ?? []
}

/** Does the caller have this scope? */
export function hasScope(caller: Scoped | undefined, scope: string): boolean {
  return getScopes(caller).includes(scope)
}

/** Does the caller have one of these at least? */
export function hasAnyScope(caller: Scoped | undefined, scopes: readonly string[]): boolean {
  return scopes.some((scope) => hasScope(caller, scope))
}

/** Does the caller have all of these? */
export function hasAllScopes(caller: Scoped | undefined, scopes: readonly string[]): boolean {
  return scopes.every((scope) => hasScope(caller, scope))
}

/** Those that fit a pattern, where `*` at the end stands for anything: `entity:*`. */
export function getScopesMatching(caller: Scoped | undefined, pattern: string): readonly string[] {
  if (!pattern.endsWith('*')) return getScopes(caller).filter((scope) => scope === pattern)
  const beginning = pattern.slice(0, -1)
  return getScopes(caller).filter((scope) => scope.startsWith(beginning))
}
