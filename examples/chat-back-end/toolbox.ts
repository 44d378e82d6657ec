// The tools that a user's connections bring to a chat: loaded side by side, named for a model, and called. A server that
// fails costs only its own tools, and its connection says why until it works again.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import type { Tool as ListedTool } from '@modelcontextprotocol/client'
import { toolNameFor } from 'latchkey/client'
import type { Connection, Connectors } from 'latchkey/client'

/** A tool as a model is told of it. */
export interface Tool {
  readonly name: string
  readonly description: string
  readonly inputSchema: unknown
}

export interface Toolbox {
  readonly tools: readonly Tool[]
  /** Throws for a name that is nobody's, and what the server's client throws. */
  readonly call: (name: string, input: Record<string, unknown>) => Promise<unknown>
  readonly close: () => Promise<void>
}

export const limits = { connectMs: 10_000, callMs: 60_000 }

/** Opens the tools of a user; connections that wait for a sign-in are left out. */
export async function openToolbox(
  connectors: Connectors,
  user: string,
  { connectMs, callMs } = limits,
): Promise<Toolbox> {
  const connections = await connectors.connections(user)
  const usable = connections.filter(({ authorized }) => authorized)
  const shelves = await Promise.all(
    usable.map((connection) => openShelf({ connectors, user, connection, connectMs })),
  )
  const entries = shelves.flatMap((shelf) => shelf?.entries ?? [])
  const byName = new Map(entries.map((entry) => [entry.tool.name, entry]))

  return {
    tools: [...byName.values()].map(({ tool }) => tool),
    call: async (name, input) => {
      const entry = byName.get(name)
      if (entry === undefined) throw new Error(`there is no tool ${name}`)
      const { client, connection, nameThere } = entry
      const work = () => client.callTool({ name: nameThere, arguments: input }, { timeout: callMs })
      return noting({ connectors, user, connection }, work)
    },
    close: async () => {
      await Promise.all(shelves.map(async (shelf) => shelf?.client.close()))
    },
  }
}

interface Place {
  readonly connectors: Connectors
  readonly user: string
  readonly connection: Connection
}

interface Shelf {
  readonly client: Client
  readonly entries: readonly Entry[]
}

interface Entry {
  readonly tool: Tool
  readonly nameThere: string
  readonly client: Client
  readonly connection: Connection
}

/** The tools of one connection; undefined when it fails, which is noted and holds up nobody. */
async function openShelf(
  place: Place & { readonly connectMs: number },
): Promise<Shelf | undefined> {
  const client = new Client({ name: 'chat-back-end', version: '1.0.0' })
  const open = async (signal: AbortSignal) => {
    const { url, options } = await place.connectors.transportFor(place.user, place.connection.id)
    signal.throwIfAborted()
    await client.connect(new StreamableHTTPClientTransport(url, options))
    return (await client.listTools()).tools
  }
  try {
    const listed = await noting(place, () => within(place.connectMs, open))
    const { connection } = place
    return { client, entries: listed.map((tool) => toEntry(tool, { client, connection })) }
  } catch {
    await client.close()
    return undefined // the connection says why
  }
}

function toEntry(
  listed: Pick<ListedTool, 'name' | 'description' | 'inputSchema'>,
  { client, connection }: { readonly client: Client; readonly connection: Connection },
): Entry {
  const { serverSlug, label } = connection
  const place = label === 'default' ? serverSlug : `${serverSlug}-${label}`
  const { name: nameThere, description = '', inputSchema } = listed
  const name = toolNameFor(place, nameThere)
  return { tool: { name, description, inputSchema }, nameThere, client, connection }
}

/** Does the work, and lets the connection say how it went. */
async function noting<T>(
  { connectors, user, connection }: Place,
  work: () => Promise<T>,
): Promise<T> {
  try {
    const result = await work()
    await connectors.noteError(user, connection.id)
    return result
  } catch (error) {
    await connectors.noteError(user, connection.id, error instanceof Error ? error : String(error))
    throw error
  }
}

/** The work, or an error after so long; what comes later is for nobody. */
async function within<T>(ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const ending = new AbortController()
  const tooLate = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    tooLate.reject(new Error(`no answer within ${ms / 1000} s`))
    ending.abort()
  }, ms)
  try {
    return await Promise.race([work(ending.signal), tooLate.promise])
  } finally {
    clearTimeout(timer)
  }
}
