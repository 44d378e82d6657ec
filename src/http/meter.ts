// Counts what one request takes of the limits, refuses what is too much, and tells how much is left in the fields of
// draft-ietf-httpapi-ratelimit-headers-11. That a limit was reached goes into the journal, once for each window.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Log } from '../base/log.ts'
import type { Journal } from '../journal/entries.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { Place } from './callers-address.ts'
import type { Counter } from './limit-counts.ts'
import type { Limiter, Taken } from './limiter.ts'
import { crowdFactor, limits } from './limits.ts'
import type { Limit, LimitName } from './limits.ts'

/** The limits as one request meets them. `key` says whose quota it is, where the limit does not say so itself. */
export interface Meter {
  /** Counts one more, or `cost` more. Throws Fault('too_many_requests') when that is too much. */
  readonly take: (name: LimitName, key?: string, cost?: number) => Promise<void>
  /** The same without a throw. */
  readonly count: (name: LimitName, key?: string, cost?: number) => Promise<Counted>
  /** Undoes a take that turned out not to count, such as a right password. */
  readonly giveBack: (name: LimitName, key?: string) => Promise<void>
  /** Throws Fault('too_many_requests') when nothing is left, and counts nothing. */
  readonly requireUnspent: (name: LimitName, key?: string) => void
  /** What was counted so far, as response header fields. */
  readonly fields: () => Readonly<Record<string, string>>
}

/** One counted step. */
export interface Counted extends Taken {
  readonly name: LimitName
  readonly quota: number
  readonly windowS: number
  /** Whole seconds until the window ends, at least one. */
  readonly resetS: number
}

/** Makes the meter of a request. */
export type MeterOf = (tenant: Tenant, place: Place) => Meter

interface Needs {
  readonly limiter: Limiter
  readonly clock: Clock
  readonly db: Database
  readonly journal: Pick<Journal, 'record'>
  readonly log: Log
}

export interface MeterSettings {
  /** Every quota is so many times as large; with 0 nothing is counted. */
  readonly limitScale: number
  readonly callsPerMinute: number
}

/** Makes the meters of all requests. */
export function createMeters(needs: Needs, settings: MeterSettings): MeterOf {
  if (settings.limitScale === 0) return () => unlimited
  return (tenant, place) => createMeter(needs, settings, { tenant, place })
}

const nothing = { quota: 0, windowS: 0, remaining: 0, resetS: 1, endsAt: 0 } as const

/** The meter where nobody counts. */
export const unlimited: Meter = {
  take: async () => {},
  count: async (name) => ({ ...nothing, name, isOver: false, isNewlyFull: false }),
  giveBack: async () => {},
  requireUnspent: () => {},
  fields: () => ({}),
}

interface Whose {
  readonly tenant: Tenant
  readonly place: Place
}

function createMeter(needs: Needs, settings: MeterSettings, whose: Whose): Meter {
  const { limiter, clock } = needs
  const counted = new Map<LimitName, Counted>()
  const counterOf = (name: LimitName, key: string) => makeCounter(settings, whose, { name, key })

  const count: Meter['count'] = async (name, key = '', cost = 1) => {
    const counter = counterOf(name, key)
    const taken = await limiter.take(counter, cost)
    const { quota } = counter
    const resetS = secondsUntil(taken.endsAt, clock)
    const result = { ...taken, name, quota, windowS: limits[name].windowS, resetS }
    counted.set(name, result)
    if (taken.isNewlyFull) void tell(needs, whose, { name, key, quota })
    return result
  }

  return {
    count,
    take: async (name, key, cost) => {
      const { isOver, resetS } = await count(name, key, cost)
      if (isOver) throw tooMany(name, resetS)
    },
    giveBack: async (name, key = '') => limiter.giveBack(counterOf(name, key)),
    requireUnspent: (name, key = '') => {
      const endsAt = limiter.spentUntil(counterOf(name, key))
      if (endsAt !== undefined) throw tooMany(name, secondsUntil(endsAt, clock))
    },
    fields: () => fieldsOf([...counted.values()]),
  }
}

function secondsUntil(endsAt: number, clock: Clock): number {
  return Math.max(1, Math.ceil((endsAt - clock.now()) / 1000))
}

function makeCounter(
  { limitScale, callsPerMinute }: MeterSettings,
  { tenant, place }: Whose,
  { name, key }: { readonly name: LimitName; readonly key: string },
): Counter {
  const { quota, windowS, isPerPlace }: Limit = limits[name]
  const usual = (name === 'calls' ? callsPerMinute : quota) * limitScale * (tenant.limitScale ?? 1)
  const isShared = isPerPlace && place.isCrowd
  return {
    tenantId: tenant.id,
    name,
    key: isPerPlace ? `${place.name}|${short(key)}` : short(key),
    quota: Math.ceil(isShared ? usual * crowdFactor : usual),
    windowMs: windowS * 1000,
  }
}

const keyLengthMax = 200

/** Callers choose some keys: what is too long for a name of anything is one of many that nobody has. */
function short(key: string): string {
  return key.slice(0, keyLengthMax)
}

function tooMany(name: LimitName, retryAfterS: number): Fault {
  return new Fault('too_many_requests', {
    because: `the limit "${name}" is used up`,
    retryAfterS,
    detail: { wait: `You can try again in ${inWords(retryAfterS)}.` },
  })
}

function inWords(seconds: number): string {
  if (seconds === 1) return 'a second'
  return seconds <= 90 ? `${seconds} seconds` : `${Math.ceil(seconds / 60)} minutes`
}

/** RateLimit-Policy and RateLimit (draft §3, §4): a list of quotas by name, the parts of each as its parameters. */
function fieldsOf(counted: readonly Counted[]): Readonly<Record<string, string>> {
  if (counted.length === 0) return {}
  const policies = counted.map(({ name, quota, windowS }) => `"${name}";q=${quota};w=${windowS}`)
  const states = counted.map(
    ({ name, remaining, resetS }) => `"${name}";r=${remaining};t=${resetS}`,
  )
  return { 'ratelimit-policy': policies.join(', '), ratelimit: states.join(', ') }
}

interface Reached {
  readonly name: LimitName
  readonly key: string
  readonly quota: number
}

/** A limit that cannot be journalled holds all the same. */
async function tell(
  { db, journal, log }: Needs,
  { tenant }: Whose,
  { name, key, quota }: Reached,
): Promise<void> {
  const subject = subjectOf(key)
  try {
    await journal.record(db, {
      tenantId: tenant.id,
      type: 'limit.reached',
      actor: { kind: 'anonymous' },
      ...(subject?.kind === 'user' ? { userId: subject.id } : {}),
      ...(subject === undefined ? {} : { subject }),
      data: { limit: name, quota, windowS: limits[name].windowS },
    })
  } catch (cause) {
    log.warn({ cause, limit: name }, 'that a limit was reached could not be journalled')
  }
}

const kinds = { usr_: 'user', mcp_oauth_: 'client', grt_: 'grant' } as const
const idPattern = /^(?<prefix>usr_|grt_|mcp_oauth_)[\w-]{1,64}$/
const documentPattern = /^https:\/\/[\w.:-]{1,100}\/[\w./-]{0,100}$/

/** Only what looks like an id is named: the rest of the keys are addresses, e-mails, or anything a stranger wrote. */
function subjectOf(key: string): { readonly kind: string; readonly id: string } | undefined {
  if (documentPattern.test(key)) return { kind: 'client', id: key }
  const prefix = idPattern.exec(key)?.groups?.['prefix'] as keyof typeof kinds | undefined // the pattern's own
  return prefix && { kind: kinds[prefix], id: key }
}
