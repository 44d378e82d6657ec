// The scopes of ours that a server understands, each with the tools that it opens, and which tools may be called at all. What
// a caller may do with them is decided by the gateway; whether there is such a scope is known by the platform.
import { invalid } from './server-input.ts'
import type { ToolPolicy, ToolScope } from './server-input.ts'

const scopesMax = 50
const toolsMax = 500
// A star in the middle would look like more than it is.
const toolPattern = /^(?=.)[^\p{C}\p{Z}*]{0,128}\*?$/u

/** The list as it is kept; none when it says nothing. Throws Fault('invalid_input'). */
export function checkToolScopes(given: readonly ToolScope[]): readonly ToolScope[] | undefined {
  const names = given.map(({ scope }) => scope)
  if (names.length > scopesMax) throw invalid('toolScopes', `Name at most ${scopesMax} scopes.`)
  if (new Set(names).size < names.length) throw invalid('toolScopes', 'Name each scope once.')
  for (const { scope, tools } of given) {
    if (tools.length > toolsMax) throw invalid('toolScopes', `Name at most ${toolsMax} tools.`)
    if (tools.every((tool) => toolPattern.test(tool))) continue
    throw invalid(
      'toolScopes',
      `Name the tools of ${scope} as the server does, with * at the end only.`,
    )
  }
  return given.length === 0 ? undefined : given.map(({ scope, tools }) => ({ scope, tools }))
}

/** The list in a row. */
export function readToolScopes(stored: string): readonly ToolScope[] {
  return JSON.parse(stored) as readonly ToolScope[] // only checked lists are stored
}

/** The policy as it is kept; none when it closes nothing. Throws Fault('invalid_input'). */
export function toolPolicyColumn(given: ToolPolicy | null): string | null {
  const { allow, deny = [], readOnly = false } = given ?? {}
  for (const tools of [allow ?? [], deny]) {
    if (tools.length > toolsMax) throw invalid('toolPolicy', `Name at most ${toolsMax} tools.`)
    if (tools.every((tool) => toolPattern.test(tool))) continue
    throw invalid('toolPolicy', 'Name the tools as the server does, with * at the end only.')
  }
  if (allow === undefined && deny.length === 0 && !readOnly) return null
  return JSON.stringify({
    ...(allow === undefined ? {} : { allow }),
    ...(deny.length === 0 ? {} : { deny }),
    ...(readOnly ? { readOnly } : {}),
  })
}

/** The policy in a row. */
export function readToolPolicy(stored: string): ToolPolicy {
  return JSON.parse(stored) as ToolPolicy // only toolPolicyColumn() writes it
}
