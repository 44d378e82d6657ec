// One reading of a message: where scopes open tools one by one, what we read must be what the server reads. JSON leaves
// room for two readings (a name that comes twice, or in other letters), so such a body is refused or written anew.
import type { IncomingHttpHeaders } from 'node:http'
import { callMethod } from './calls.ts'
import type { Call } from './calls.ts'
import { isJsonObject, parseExactly, writeExactly } from './exact-json.ts'

/** The body as it is sent on; undefined when a server could read another call in it. */
export function exactBody(body: Buffer): Buffer | undefined {
  try {
    const message = parseExactly(body.toString())
    const messages: readonly unknown[] = Array.isArray(message) ? message : [message]
    return messages.every(hasOneReading) ? Buffer.from(writeExactly(message)) : undefined
  } catch {
    return undefined // It is nested too deeply to be written anew.
  }
}

/** Do the headers that stand for the call name the same one (MCP 2026-07-28, "Standard headers")? */
export function namesTheSame(
  headers: IncomingHttpHeaders,
  { method, named, claimedVersion }: Call,
): boolean {
  const { 'mcp-method': said, 'mcp-name': name, 'mcp-protocol-version': version } = headers
  const isSameMethod = said === undefined || said === method
  const isSameVersion =
    version === undefined || claimedVersion === undefined || version === claimedVersion
  if (!isSameMethod || !isSameVersion) return false
  return named === undefined || name === undefined || isName(name, named)
}

function isName(name: string | readonly string[], named: string): boolean {
  return typeof name === 'string' && decoded(name) === named
}

const base64Form = /^=\?base64\?(?<text>[A-Za-z0-9+/=]*)\?=$/i

function decoded(value: string): string {
  const text = base64Form.exec(value)?.groups?.['text']
  return text === undefined ? value : Buffer.from(text, 'base64').toString()
}

/** JSON-RPC 2.0 §4 and §5: a message has these members and no others. */
const members = new Set(['jsonrpc', 'id', 'method', 'params', 'result', 'error'])

function hasOneReading(message: unknown): boolean {
  if (!isJsonObject(message)) return false
  if (!Object.keys(message).every((member) => members.has(member))) return false
  const { method = '', params } = message
  // What is no text here may become one elsewhere: a list of one name is that name to some languages.
  if (typeof method !== 'string' || resembles(method, callMethod)) return false
  return !isJsonObject(params) || !Object.keys(params).some((name) => resembles(name, 'name'))
}

/** Some libraries take a name in any letters for the one that they look for. */
function resembles(name: string, sought: string): boolean {
  return name !== sought && name.normalize('NFKC').trim().toLowerCase() === sought
}
