// Where a request comes from, as limits and the journal see it. A header is believed only when it was written by a proxy that the operator
// trusts: everybody else can write what they like into it (threat P-49).
import { createAddressRules, subscriberOf } from '../base/addresses.ts'
import { crowdOf } from './vendor-egress.ts'

/** The place that a caller shares with as few others as can be told. */
export interface Place {
  /** An address, a /64, or the name of a crowd. */
  readonly name: string
  /** Many people who have nothing to do with one another call from here. */
  readonly isCrowd: boolean
}

/** What a request says about where it comes from. */
export interface Arrival {
  /** The other end of the connection; undefined where there is none. */
  readonly peer: string | undefined
  readonly forwardedFor: string | undefined
  readonly forwarded: string | undefined
}

/** Who calls, as far as can be told. */
export interface Caller {
  /** Undefined where nothing is known of it. */
  readonly address: string | undefined
  readonly place: Place
}

export type CallerOf = (arrival: Arrival) => Caller

const hopsMax = 32

/** Makes the reader of callers' addresses; `trusted` are the networks of the operator's own proxies. */
export function createCallerOf(trusted: readonly string[]): CallerOf {
  const { isOwn: isTrusted } = createAddressRules(trusted)
  return remembering((arrival) => {
    const address = addressOf(arrival, isTrusted)
    return { address, place: placeOf(address) }
  })
}

/** Whoever calls in where nothing is known of the address may stand for many. */
function placeOf(address: string | undefined): Place {
  const name = address && subscriberOf(address)
  if (address === undefined || name === undefined) return { name: 'unknown', isCrowd: true }
  const crowd = crowdOf(address)
  return crowd === undefined ? { name, isCrowd: false } : { name: crowd, isCrowd: true }
}

const rememberedMax = 5_000
const textMax = 200

/** Whoever calls once calls again, and reading an address takes longer than counting. */
function remembering(callerOf: CallerOf): CallerOf {
  const remembered = new Map<string, Caller>()
  return (arrival) => {
    const { peer, forwardedFor, forwarded } = arrival
    const text = `${peer}\n${forwardedFor}\n${forwarded}` // No field has a line break in it.
    const known = remembered.get(text)
    if (known !== undefined) return known
    const caller = callerOf(arrival)
    if (remembered.size >= rememberedMax) remembered.clear()
    if (text.length <= textMax) remembered.set(text, caller)
    return caller
  }
}

function addressOf(
  { peer, forwardedFor, forwarded }: Arrival,
  isTrusted: (address: string) => boolean,
): string | undefined {
  if (peer === undefined || !isTrusted(peer)) return peer
  const claims = [hopsOfForwardedFor(forwardedFor), hopsOfForwarded(forwarded)].filter(
    (hops) => hops.length > 0,
  )
  const [found = peer, ...others] = claims.map((hops) => lastUntrusted(peer, hops, isTrusted))
  // A proxy writes one of the two and may pass the other one on as it came: where they differ, one was made up.
  return others.every((other) => subscriberOf(other) === subscriberOf(found)) ? found : peer
}

/** Each hop vouches for the one before it, as long as it is trusted itself: the right-most untrusted one wins. */
function lastUntrusted(
  peer: string,
  hops: readonly string[],
  isTrusted: (address: string) => boolean,
): string {
  let current = peer
  for (const hop of hops.slice(-hopsMax).reverse()) {
    if (!isTrusted(current) || subscriberOf(hop) === undefined) break
    current = hop
  }
  return current
}

function hopsOfForwardedFor(field = ''): readonly string[] {
  return field.split(',').flatMap((hop) => (hop.trim() === '' ? [] : [withoutPort(hop.trim())]))
}

/** RFC 7239 §4: `for=` of each element, an IPv6 address quoted and in brackets. */
function hopsOfForwarded(field = ''): readonly string[] {
  return field.split(',').flatMap((element) => {
    const [, value] = /(?:^|;)\s*for=("[^"]*"|[^;\s]*)/i.exec(element) ?? []
    return value === undefined ? [] : [withoutPort(value.replaceAll('"', ''))]
  })
}

function withoutPort(hop: string): string {
  const [, inBrackets] = /^\[([^\]]*)\](?::\d+)?$/.exec(hop) ?? []
  return inBrackets ?? hop.replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1')
}
