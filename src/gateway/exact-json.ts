// JSON that is read and written again without changing a number: what JavaScript cannot hold exactly stays as it was
// written (ECMAScript, JSON.parse source text access). A member that comes twice is there once afterwards.

/** Reads a text. Throws a SyntaxError for what is no JSON. */
export function parseExactly(text: string): unknown {
  return JSON.parse(text, keepNumber)
}

/** Writes what parseExactly() read. */
export function writeExactly(value: unknown): string {
  return JSON.stringify(value)
}

/** An object, and no list. */
export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

// TypeScript's library does not know these yet; Node has had them since version 22.
const { rawJSON } = JSON as unknown as { readonly rawJSON: (source: string) => unknown }

function keepNumber(this: unknown, _name: string, value: unknown, ...rest: unknown[]): unknown {
  if (typeof value !== 'number') return value
  const [context] = rest as [{ readonly source: string }] // given to every reviver by the engine
  return rawJSON(context.source)
}
