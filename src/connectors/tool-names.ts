// What a model calls a tool of one of several servers. Pure.
import { createHash } from 'node:crypto'

// What the APIs of the large models take.
const nameCharsMax = 64
const others = /[^A-Za-z0-9_-]/g
const hashCharacters = 12

/**
 * The name of a server's tool among those of other servers: `mcp__<slug>__<tool>`, at most 64 letters, digits, `_` and `-`.
 * What has to be cut or changed ends in a hash of the whole, so that two tools never share a name.
 */
export function toolNameFor(slug: string, tool: string): string {
  const whole = `mcp__${slug}__${tool}`
  const name = whole.replace(others, '_')
  if (name === whole && name.length <= nameCharsMax) return name
  const hash = createHash('sha256').update(whole).digest('hex').slice(0, hashCharacters)
  return `${name.slice(0, nameCharsMax - hashCharacters - 1)}_${hash}`
}
