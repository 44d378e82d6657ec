// How what belongs to one of several servers is called at `/mcp`, and whose a name is. Pure: a name leads back to its
// server without a table.
import { toolNameFor } from '../connectors/tool-names.ts'
import { isJsonObject } from './exact-json.ts'
import type { Message } from '../connectors/post-message.ts'

/** Whose a name is, and what the server may call it. */
export interface Owned {
  readonly slug: string
  readonly own: string
}

const namePattern = /^mcp__(?<slug>[a-z0-9-]{1,36})__(?<own>.+)$/s
const uriPattern = /^mcp\.(?<slug>[a-z0-9-]{1,36})\+(?<own>.+)$/is

/** Undefined for a name that belongs to no server. */
export function readName(name: string): Owned | undefined {
  return ownedIn(namePattern.exec(name))
}

/** What was cut or changed ends in a hash: then only the server's list tells what it stands for. */
export function isHashed({ slug, own }: Owned): boolean {
  return /_[0-9a-f]{12}$/.test(own) || toolNameFor(slug, own) !== `mcp__${slug}__${own}`
}

/** A server's URI among those of other servers; a template (RFC 6570) stays one. */
export function uriFor(slug: string, uri: string): string {
  return `mcp.${slug}+${uri}`
}

/** Undefined for a URI that belongs to no server. The scheme of a URI has no case (RFC 3986 §3.1). */
export function readUri(uri: string): Owned | undefined {
  const owned = ownedIn(uriPattern.exec(uri))
  return owned && { ...owned, slug: owned.slug.toLowerCase() }
}

function ownedIn(match: RegExpExecArray | null): Owned | undefined {
  const { slug, own } = match?.groups ?? {}
  return slug === undefined || own === undefined ? undefined : { slug, own }
}

/** A result in which each resource that is named can be read here. */
export function withOurUris(slug: string, result: Message): Message {
  const { content, contents, messages } = result
  return {
    ...result,
    ...(Array.isArray(content) ? { content: content.map((one) => blockOf(slug, one)) } : {}),
    ...(Array.isArray(contents) ? { contents: contents.map((one) => named(slug, one)) } : {}),
    ...(Array.isArray(messages) ? { messages: messages.map((one) => messageOf(slug, one)) } : {}),
  }
}

function messageOf(slug: string, message: unknown): unknown {
  if (!isJsonObject(message)) return message
  return { ...message, content: blockOf(slug, message['content']) }
}

function blockOf(slug: string, block: unknown): unknown {
  if (!isJsonObject(block)) return block
  if (block['type'] === 'resource_link') return named(slug, block)
  if (block['type'] !== 'resource') return block
  return { ...block, resource: named(slug, block['resource']) }
}

function named(slug: string, resource: unknown): unknown {
  if (!isJsonObject(resource) || typeof resource['uri'] !== 'string') return resource
  return { ...resource, uri: uriFor(slug, resource['uri']) }
}
