// The header fields that repeat arguments of a tool, for servers that want them (MCP 2026-07-28, "Custom Headers from Tool
// Parameters"): a client of the older era does not know that it should send them. Pure.
import { fieldValue } from './name-field.ts'
import { isObject } from './post-message.ts'
import type { Message } from './post-message.ts'

/** RFC 9110 §5.1. */
const fieldName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const depthMax = 16

/** `Mcp-Param-*` for these arguments, by the schema of the tool. */
export function paramFields(inputSchema: unknown, args: unknown): Readonly<Record<string, string>> {
  return Object.fromEntries(fieldsIn(inputSchema, args, depthMax))
}

function fieldsIn(schema: unknown, value: unknown, depth: number): readonly [string, string][] {
  if (!isObject(schema) || depth === 0) return []
  const name = schema['x-mcp-header']
  const text = textOf(value)
  const isNamed = typeof name === 'string' && fieldName.test(name) && text !== undefined
  const own: readonly [string, string][] = isNamed
    ? [[`mcp-param-${name.toLowerCase()}`, fieldValue(text)]]
    : []
  const properties: Message = isObject(schema['properties']) ? schema['properties'] : {}
  if (!isObject(value)) return own
  const inner = Object.entries(properties).flatMap(([key, one]) =>
    Object.hasOwn(value, key) ? fieldsIn(one, value[key], depth - 1) : [],
  )
  return [...own, ...inner]
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value === 'boolean' || Number.isSafeInteger(value)) return String(value)
  return undefined
}
