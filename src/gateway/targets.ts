// Which MCP endpoint a request target names. Decided on the raw text alone: nothing is decoded, resolved or normalised, so
// there is only one spelling of each endpoint (threats P-12, X-26).

const serverPattern = /^\/(?<slug>[a-z0-9-]{1,36})\/mcp$/

/** The slug in `/{slug}/mcp`, or undefined for every other path. The query plays no part. */
export function slugOf(requestTarget: string): string | undefined {
  const [path = ''] = requestTarget.split('?', 1)
  return serverPattern.exec(path)?.groups?.['slug']
}
