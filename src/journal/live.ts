// Hands sealed entries, in order, to whoever listens in this process, also those that another process sealed.

/** What is handed on: it has a place in its tenant's order. */
interface Placed {
  readonly tenantId: string
  readonly seq: number
}

/** The live feed of one journal. */
export interface Live<Item extends Placed> {
  /** Listens from now on; call what it returns to stop. A listener that needs what came before lists that first. */
  readonly subscribe: (listener: (item: Item) => void) => () => void
  /** Remembers, before something is sealed, up to where everything is old. */
  readonly mark: () => Promise<void>
  /** Hands on what is new since then. */
  readonly deliver: () => Promise<void>
}

interface Needs<Item> {
  readonly heads: () => Promise<readonly Placed[]>
  /** The next items of a tenant, none at the end. */
  readonly read: (tenantId: string, after: number) => Promise<readonly Item[]>
}

/** Makes the live feed. */
export function createLive<Item extends Placed>({ heads, read }: Needs<Item>): Live<Item> {
  const listeners = new Set<(item: Item) => void>()
  let seen: Promise<Map<string, number>> | undefined
  let delivering: Promise<void> = Promise.resolve()

  const tell = (item: Item) => {
    for (const listener of listeners) {
      try {
        listener(item)
      } catch (error) {
        // One broken listener must not keep the entry from the others; it is told to whoever runs the process.
        listeners.delete(listener)
        process.emitWarning(error instanceof Error ? error : String(error))
      }
    }
  }

  const deliverTenant = async (known: Map<string, number>, { tenantId, seq }: Placed) => {
    while ((known.get(tenantId) ?? 0) < seq) {
      const items = await read(tenantId, known.get(tenantId) ?? 0)
      if (items.length === 0) return
      for (const item of items) {
        known.set(tenantId, item.seq)
        tell(item)
      }
    }
  }

  /** Up to where everything is old; it is read anew after a failure. */
  const remember = () => {
    const reading = heads().then((all) => new Map(all.map(({ tenantId, seq }) => [tenantId, seq])))
    seen = reading
    reading.catch(() => {
      if (seen === reading) seen = undefined
    })
    return reading
  }

  const deliverAll = async () => {
    if (listeners.size === 0 || seen === undefined) return
    const known = await seen
    for (const head of await heads()) await deliverTenant(known, head)
  }

  return {
    subscribe: (listener) => {
      // At once: what is being sealed already, after a mark that nobody needed, is new to this listener.
      if (listeners.size === 0) void remember()
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    mark: async () => {
      if (listeners.size > 0) await (seen ?? remember())
    },
    // One after the other: two at once would hand entries on twice.
    deliver: () => (delivering = delivering.then(deliverAll, deliverAll)),
  }
}
