// The header field in which a request says whom it is for (MCP 2026-07-28, "Standard MCP Request Headers"). Pure.

const named: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
}
// What is no plain field value goes in Base64; so does what would be read as such.
const plainValue = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/

/** `Mcp-Name` for the methods that have it. */
export function nameField(
  method: string,
  params: Readonly<Record<string, unknown>>,
): Readonly<Record<string, string>> {
  const value = params[named[method] ?? '']
  if (typeof value !== 'string') return {}
  return { 'mcp-name': fieldValue(value) }
}

/** A text as the value of a header field (MCP 2026-07-28, "Value Encoding"). */
export function fieldValue(text: string): string {
  const isPlain = plainValue.test(text) && !text.startsWith('=?base64?')
  return isPlain ? text : `=?base64?${Buffer.from(text).toString('base64')}?=`
}
