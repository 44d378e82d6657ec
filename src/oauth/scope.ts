// Scopes as a set of words (RFC 6749 §3.3). What a scope permits is decided elsewhere.

import { callersFault } from '../base/fault.ts'

/** The most scopes one request may name. */
export const scopesMax = 100

const scopeToken = /^[\x21\x23-\x5B\x5D-\x7E]+$/

/** Reads a `scope` value into distinct scopes in their order; absent means none (RFC 6749 §3.3). */
export function parseScope(text: string | undefined): readonly string[] {
  if (text === undefined || text === '') return []
  if (isScope(text)) return unionScopes(text.split(' '), [])
  throw callersFault(
    'invalid_scope',
    `the scope breaks the grammar of RFC 6749 §3.3 or names more than ${scopesMax}`,
  )
}

/** Says whether a text is a list of scopes within our limit (`scope`, RFC 6749 §3.3). */
export function isScope(text: string): boolean {
  // One piece more than allowed is enough to know; a space too many leaves an empty, hence malformed, piece.
  const scopes = text.split(' ', scopesMax + 1)
  return scopes.length <= scopesMax && scopes.every(isScopeToken)
}

/** Says whether a text is one scope (`scope-token`, RFC 6749 §3.3). */
export function isScopeToken(text: string): boolean {
  return scopeToken.test(text)
}

/** The scopes in somebody else's answer, what breaks the grammar left out; undefined when none remain (RFC 6749 §3.3). */
export function tidyScope(text: string): string | undefined {
  const scopes = text.split(/\s+/).filter(isScopeToken).slice(0, scopesMax)
  return scopes.length === 0 ? undefined : formatScope(unionScopes(scopes, []))
}

/** Writes scopes as a `scope` value (RFC 6749 §3.3). */
export function formatScope(scopes: readonly string[]): string {
  return scopes.join(' ')
}

/** Says whether every scope of the first set is in the second. */
export function isSubset(part: readonly string[], whole: readonly string[]): boolean {
  const all = new Set(whole)
  return part.every((scope) => all.has(scope))
}

/** Every scope of both sets, once, the first set's order first. */
export function unionScopes(
  first: readonly string[],
  second: readonly string[],
): readonly string[] {
  return [...new Set([...first, ...second])]
}
