// Owns what the foreign authorization server remembers: plain maps without a size limit, because
// oidc-provider's own memory forgets the oldest entries, plus the two ways a test makes it forget.
import type { Adapter, AdapterPayload } from 'oidc-provider'

/** The memory of one provider. */
export interface ProviderMemory {
  readonly adapterFor: (kind: string) => Adapter
  /** Lets every entry of one kind end now. */
  readonly expire: (kind: string) => void
  readonly forget: (kinds: readonly string[]) => void
}

/** Makes an empty memory. */
export function createProviderMemory(): ProviderMemory {
  const kinds = new Map<string, Map<string, AdapterPayload>>()
  const entriesOf = (kind: string) => {
    const entries = kinds.get(kind) ?? new Map<string, AdapterPayload>()
    kinds.set(kind, entries)
    return entries
  }
  return {
    adapterFor: (kind) => createAdapter(entriesOf(kind), (grantId) => forgetGrant(kinds, grantId)),
    expire: (kind) => {
      const endedS = Math.floor(Date.now() / 1000) - 1
      for (const payload of entriesOf(kind).values()) payload.exp = endedS
    },
    forget: (names) => {
      for (const kind of names) entriesOf(kind).clear()
    },
  }
}

function createAdapter(
  entries: Map<string, AdapterPayload>,
  forgetGrantId: (grantId: string) => void,
): Adapter {
  const findBy = async (name: 'uid' | 'userCode', value: string) =>
    [...entries.values()].find((payload) => payload[name] === value)
  return {
    upsert: async (id, payload) => void entries.set(id, payload),
    find: async (id) => entries.get(id),
    findByUid: (uid) => findBy('uid', uid),
    findByUserCode: (userCode) => findBy('userCode', userCode),
    consume: async (id) => {
      const payload = entries.get(id)
      if (payload) payload.consumed = Math.floor(Date.now() / 1000)
    },
    destroy: async (id) => void entries.delete(id),
    revokeByGrantId: async (grantId) => forgetGrantId(grantId),
  }
}

function forgetGrant(kinds: Map<string, Map<string, AdapterPayload>>, grantId: string): void {
  for (const entries of kinds.values()) {
    for (const [id, payload] of entries) {
      if (payload.grantId === grantId) entries.delete(id)
    }
  }
}
