// How long a document of somebody else's is believed, by what its answer says (RFC 9111 §5.2.2), within bounds of ours.

const minuteMs = 60_000
const freshMs = { least: 5 * minuteMs, unsaid: 60 * minuteMs, most: 24 * 60 * minuteMs }

/** How long a document is believed: what Cache-Control says, within our bounds (RFC 9111 §5.2.2, CIMD draft §4.4). */
export function freshnessMs(cacheControl: string | null): number {
  const directives = (cacheControl ?? '').toLowerCase().split(',', 20)
  const names = directives.map((directive) => directive.trim())
  if (names.some((name) => /^no-(?:store|cache)(?:=|$)/.test(name))) return freshMs.least
  const maxAge = names.find((name) => /^max-age="?\d{1,10}"?$/.test(name))
  if (maxAge === undefined) return freshMs.unsaid
  const saidMs = Number(maxAge.replace(/\D/g, '')) * 1000
  return Math.min(Math.max(saidMs, freshMs.least), freshMs.most)
}
