// How much of us one provider's host bears: so many calls at once, none for a while after it was silent several times in a
// row, and then one until it answers. What this process knows is enough: each has places of its own.
import { createBoundedMap } from '../base/bounded.ts'
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'

export interface Hosts {
  /** Waits for a place, at most so long; gives the refusal when there is none. */
  readonly enter: (host: string, waitMs: number) => Promise<Place | Fault>
}

/** The right to one call. */
export interface Place {
  /** Gives it back and says how the host was; what is said after that counts no more. */
  readonly leave: (answer: HostAnswer) => void
}

/** `silent` is a call that ran into its deadline; `busyMs` is how long a host wants to be asked less. */
export type HostAnswer = 'answered' | 'silent' | 'unasked' | { readonly busyMs: number }

interface Host {
  readonly name: string
  running: number
  silences: number
  restUntil: number
  waiters: readonly Waiter[]
}

interface Waiter {
  readonly settle: (given: Place | Fault) => void
}

const atOnceMax = 8
const silencesMax = 3
const restMs = 30_000
const busyMaxMs = 5_000
const waitersMax = 1_000
const hostsMax = 10_000
// A call is over by then, and so is a probe.
const soonMs = 10_000

/** Makes the places of one process. */
export function createHosts(clock: Clock): Hosts {
  const hosts = createBoundedMap<Host>(hostsMax)
  const hostOf = (name: string): Host => {
    const known = hosts.get(name)
    if (known !== undefined) return known
    const made: Host = { name, running: 0, silences: 0, restUntil: 0, waiters: [] }
    hosts.set(name, made)
    return made
  }
  const forgetIdle = (host: Host) => {
    const isIdle = host.running === 0 && host.waiters.length === 0 && host.silences === 0
    if (isIdle && host.restUntil <= clock.now()) hosts.delete(host.name)
  }
  const take = (host: Host): Place => {
    host.running += 1
    let isTaken = true
    const leave = (answer: HostAnswer) => {
      if (!isTaken) return
      isTaken = false
      host.running -= 1
      hear(clock, host, answer)
      letIn(host)
      forgetIdle(host)
    }
    return { leave }
  }
  const letIn = (host: Host): void => {
    const now = clock.now()
    if (isClosed(host)) return turnAway(host, now)
    if (host.restUntil > now) return wakeAfter(host, host.restUntil - now)
    while (host.waiters.length > 0 && host.running < atOnceMax) {
      const [first, ...others] = host.waiters
      host.waiters = others
      first?.settle(take(host))
    }
  }
  const wakeAfter = (host: Host, ms: number) => {
    if (host.waiters.length > 0) void clock.sleep(ms).then(() => letIn(host))
  }

  return {
    enter: async (name, waitMs) => {
      const host = hostOf(name)
      const now = clock.now()
      const refusedMs = refusal(host, now, waitMs)
      if (refusedMs !== undefined) return refused(host, refusedMs)
      const isFree = host.restUntil <= now && host.running < placesOf(host)
      if (isFree && host.waiters.length === 0) return take(host)
      return waitFor({ clock, host, waitMs, letIn })
    },
  }
}

function isClosed({ silences }: Host): boolean {
  return silences >= silencesMax
}

/** A silent host is asked by one at a time, until it answers. */
function placesOf(host: Host): number {
  return isClosed(host) ? 1 : atOnceMax
}

/** How long until asking makes sense, where waiting for a place makes none. */
function refusal(host: Host, now: number, waitMs: number): number | undefined {
  const restLeftMs = host.restUntil - now
  const isProbed = isClosed(host) && host.running > 0
  if (isClosed(host) && restLeftMs > 0) return restLeftMs
  if (isProbed || host.waiters.length >= waitersMax) return soonMs
  return restLeftMs > waitMs ? restLeftMs : undefined
}

function hear(clock: Clock, host: Host, answer: HostAnswer): void {
  if (answer === 'unasked') return
  if (answer === 'silent') {
    host.silences += 1
    if (isClosed(host)) host.restUntil = clock.now() + restMs
    return
  }
  if (isClosed(host)) host.restUntil = 0
  host.silences = 0
  if (answer === 'answered') return
  host.restUntil = clock.now() + Math.min(answer.busyMs, busyMaxMs)
}

function turnAway(host: Host, now: number): void {
  const { waiters } = host
  host.waiters = []
  for (const { settle } of waiters) settle(refused(host, Math.max(host.restUntil - now, soonMs)))
}

function waitFor({
  clock,
  host,
  waitMs,
  letIn,
}: {
  readonly clock: Clock
  readonly host: Host
  readonly waitMs: number
  readonly letIn: (host: Host) => void
}): Promise<Place | Fault> {
  const given = Promise.withResolvers<Place | Fault>()
  const patience = new AbortController()
  const waiter: Waiter = {
    settle: (place) => {
      patience.abort()
      given.resolve(place)
    },
  }
  host.waiters = [...host.waiters, waiter]
  const giveUp = () => {
    host.waiters = host.waiters.filter((other) => other !== waiter)
    given.resolve(refused(host, soonMs))
  }
  // Settled first, the sleep ends with the abort, which is nobody's concern.
  clock.sleep(waitMs, patience.signal).then(giveUp, () => {})
  letIn(host)
  return given.promise
}

function refused({ name }: Host, waitMs: number): Fault {
  return new Fault('provider_unreachable', {
    because: `${name} is asked as often as it can bear, or does not answer`,
    retryAfterS: Math.max(Math.ceil(waitMs / 1000), 1),
  })
}
