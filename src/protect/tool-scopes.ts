// Which scopes a message needs: known before the server begins to answer it, so that a refusal can still be a 403
// (RFC 6750 §3.1; MCP authorization, "Scope Challenge Handling").
import type { RequestId } from './json-rpc.ts'

/**
 * The scopes of each tool by its name; `*` stands for every tool that is not named. Where that is missing, a tool that is not
 * named needs all scopes of the server: one that was forgotten is closed, not open.
 */
export type ToolScopes = Readonly<Record<string, readonly string[]>>

/** What a message lacks. */
export interface Lacking {
  readonly id: RequestId
  /** To be asked for: what the call needs, and what the caller has already, which a new token shall not lose. */
  readonly scopes: readonly string[]
}

interface Rules {
  readonly toolScopes: ToolScopes
  /** All scopes of the server. */
  readonly all: readonly string[]
}

/** The first call in a body that the caller's scopes do not open; undefined when all may pass. */
export function lackingIn(
  body: unknown,
  { toolScopes, all }: Rules,
  granted: readonly string[],
): Lacking | undefined {
  const messages: readonly unknown[] = Array.isArray(body) ? body : [body]
  for (const message of messages) {
    const call = toolCallOf(message)
    if (call === undefined) continue
    const needed = scopesOf(call.name, toolScopes) ?? all
    if (needed.every((scope) => granted.includes(scope))) continue
    const kept = granted.filter((scope) => all.includes(scope))
    return { id: call.id, scopes: [...new Set([...kept, ...needed])] }
  }
  return undefined
}

function scopesOf(tool: string, toolScopes: ToolScopes): readonly string[] | undefined {
  return Object.hasOwn(toolScopes, tool) ? toolScopes[tool] : toolScopes['*']
}

function toolCallOf(
  message: unknown,
): { readonly name: string; readonly id: RequestId } | undefined {
  const { method, params, id } = membersOf(message)
  if (method !== 'tools/call') return undefined
  const { name } = membersOf(params)
  const isId = typeof id === 'string' || typeof id === 'number'
  return { name: typeof name === 'string' ? name : '', id: isId ? id : null }
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
