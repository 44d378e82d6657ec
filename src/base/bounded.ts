// Memories of fixed size, for what may be forgotten and must not grow.
import type { Clock } from './clock.ts'

export interface BoundedMap<V> {
  readonly get: (key: string) => V | undefined
  readonly set: (key: string, value: V) => void
  readonly delete: (key: string) => void
}

/** Makes a map that never holds more than `entriesMax`: when it is full, what was put in first goes. */
export function createBoundedMap<V>(entriesMax: number): BoundedMap<V> {
  const map = new Map<string, V>()
  return {
    get: (key) => map.get(key),
    set: (key, value) => {
      map.delete(key)
      const [oldest] = map.keys()
      if (map.size >= entriesMax && oldest !== undefined) map.delete(oldest)
      map.set(key, value)
    },
    delete: (key) => void map.delete(key),
  }
}

export interface WindowCounter {
  readonly count: (name: string) => number
  readonly add: (name: string) => void
}

/** Counts by name within windows of time. */
export function createWindowCounter(
  clock: Clock,
  { windowMs, namesMax }: { readonly windowMs: number; readonly namesMax: number },
): WindowCounter {
  const counts = createBoundedMap<{ readonly from: number; readonly count: number }>(namesMax)
  const current = (name: string) => {
    const now = clock.now()
    const found = counts.get(name)
    return found !== undefined && found.from > now - windowMs ? found : { from: now, count: 0 }
  }
  return {
    count: (name) => current(name).count,
    add: (name) => {
      const { from, count } = current(name)
      counts.set(name, { from, count: count + 1 })
    },
  }
}
