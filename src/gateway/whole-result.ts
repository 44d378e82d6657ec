// What a result of an earlier revision lacks for a client of MCP 2026-07-28: that it is whole, and how long it may be kept.
import { isJsonObject, parseExactly, writeExactly } from './exact-json.ts'

/** MCP 2026-07-28, "Caching": the results that say it. An earlier server says nothing, so they may not be kept. */
const cached = new Set([
  'tools/list',
  'prompts/list',
  'resources/list',
  'resources/templates/list',
  'resources/read',
])
const notKept = { ttlMs: 0, cacheScope: 'private' }

/** The message with a result that says both; an error as it is. */
export function wholeResult(text: string, method: string | undefined): string {
  const message = parseExactly(text)
  if (!isJsonObject(message) || !isJsonObject(message['result'])) return text
  const caching = cached.has(method ?? '') ? notKept : {}
  const result = { resultType: 'complete', ...caching, ...message['result'] }
  return writeExactly({ ...message, result })
}
