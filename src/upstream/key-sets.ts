// Public keys at an address that somebody else chose (RFC 7517 §5), fetched through the guarded client and kept for a
// bounded time. Whose they are, and which key fits a signature, is decided by those who ask.
import { z } from 'zod'
import type { JWK } from 'jose'
import { createBoundedMap } from '../base/bounded.ts'
import type { Clock } from '../base/clock.ts'
import { Fault, isFault } from '../base/fault.ts'
import type { Log } from '../base/log.ts'
import type { Outbound } from '../base/outbound.ts'
import { freshnessMs } from '../oauth/freshness.ts'
import type { TenantFacts } from './holder.ts'

export interface KeySets {
  /** The keys there; `isNewer` asks for those that may have been published since, which is done once a minute. */
  readonly fetch: (
    tenant: Pick<TenantFacts, 'id'>,
    uri: string,
    wanted: Wanted,
  ) => Promise<readonly JWK[]>
}

export interface Wanted {
  readonly isNewer: boolean
}

interface Needs {
  readonly clock: Clock
  readonly outbound: Pick<Outbound, 'fetch'>
  readonly log: Log
}

interface Fetched {
  readonly keys: readonly JWK[]
  readonly fetchedAt: number
  readonly freshUntil: number
}

interface Flight {
  readonly hostname: string
  readonly fetched: Promise<Fetched>
}

const limits = { bytes: 65_536, timeMs: 5000, redirects: 0 }
const keysMax = 20
const minuteMs = 60_000
const keptMax = 1000
const underwayMax = 100
/** Fewer for one host, so that a slow one does not keep all others waiting. */
const underwayPerHostMax = 20

const keySet = z.object({ keys: z.array(z.looseObject({ kty: z.string() })).max(keysMax) })

/** Makes the reader of key sets. */
export function createKeySets(needs: Needs): KeySets {
  const { clock } = needs
  const kept = createBoundedMap<Fetched>(keptMax)
  const underway = new Map<string, Flight>()

  // One fetch at a time for one address, however many ask.
  const fetchOnce = (name: string, uri: string): Promise<Fetched> => {
    const running = underway.get(name)
    if (running !== undefined) return running.fetched
    const { hostname } = new URL(uri)
    const ofHost = [...underway.values()].filter((flight) => flight.hostname === hostname)
    if (underway.size >= underwayMax || ofHost.length >= underwayPerHostMax) throw busy()
    const fetched = fetchKeys(needs, uri, kept.get(name))
      .then((answer) => {
        kept.set(name, answer)
        return answer
      })
      .finally(() => underway.delete(name))
    underway.set(name, { hostname, fetched })
    return fetched
  }

  return {
    fetch: async (tenant, uri, { isNewer }) => {
      const name = `${tenant.id} ${uri}`
      const known = kept.get(name)
      const now = clock.now()
      const isEnough =
        known !== undefined &&
        known.freshUntil > now &&
        !(isNewer && known.fetchedAt <= now - minuteMs)
      return (isEnough ? known : await fetchOnce(name, uri)).keys
    },
  }
}

/** Fetches keys; when that fails, what is still fresh stays, and it is not tried again for a minute. */
async function fetchKeys(
  { clock, outbound, log }: Needs,
  uri: string,
  known: Fetched | undefined,
): Promise<Fetched> {
  try {
    const response = await outbound.fetch({
      url: uri,
      purpose: 'key_set',
      headers: { accept: 'application/json, application/jwk-set+json' },
      accept: ['application/json', 'application/jwk-set+json'],
      limits,
    })
    const read = keySet.safeParse(response.status === 200 ? response.json() : undefined)
    if (!read.success) {
      throw new Fault('metadata_discovery_failed', { because: 'the answer is no key set' })
    }
    const now = clock.now()
    const freshUntil = now + freshnessMs(response.headers.get('cache-control'))
    return { keys: read.data.keys, fetchedAt: now, freshUntil }
  } catch (error) {
    if (!isFault(error)) throw error
    log.info({ uri, fault: error.code, because: error.because }, 'a key set was not fetched')
    const now = clock.now()
    const isFresh = known !== undefined && known.freshUntil > now
    if (isFresh) return { ...known, fetchedAt: now }
    return { keys: [], fetchedAt: now, freshUntil: now + minuteMs }
  }
}

function busy(): Fault {
  const because = 'too many key sets are being fetched'
  return new Fault('too_many_requests', { because, retryAfterS: 5 })
}
