// How often a person may type a code that is none (RFC 8628 §5.1). Counts are kept in the store, so that they hold on
// every instance, and in this process, so that they hold while the store cannot be asked.
import { publicNetwork } from '../base/addresses.ts'
import { createBoundedMap } from '../base/bounded.ts'
import type { Clock } from '../base/clock.ts'
import { Fault, isFault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'

/** Counts tries. Whatever else limits can stand in its place. */
export interface DeviceGuesses {
  /**
   * Looks a code up as one try, which is counted unless it was right. All of it is one transaction, so that many tries at
   * once are as good as one after the other. Throws Fault('too_many_requests'), without looking, when there were too many.
   */
  readonly attempt: <T>(tenant: Tenant, guesser: Guesser, lookUp: LookUp<T>) => Promise<T>
}

/** Who types, and from where if that is known. */
export interface Guesser {
  readonly userId: string
  readonly address: string | undefined
}

/** Given how many wrong ones the tenant has seen, this one included; that number is only ever compared. */
export type LookUp<T> = (
  tx: Database,
  count: number,
) => Promise<{ readonly isRight: boolean; readonly value: T }>

/** So many wrong tries may a person make, and so many may come from an address, until ten minutes pass without one. */
export const wrongMax = 5
export const wrongWindowMs = 10 * 60_000
/** So many wrong tries may anybody make while one code is shown: with 20^8 codes its chances stay below 2^-32. */
export const wrongPerCodeMax = 5

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly keyring: Keyring
}

/** Makes the counters of all tenants. */
export function createDeviceGuesses(needs: Needs): DeviceGuesses {
  const own = createOwnCounts(needs.clock)
  return {
    attempt: async (tenant, guesser, lookUp) => {
      const names = guessersOf(needs.keyring, guesser)
      const giveBack = own.take(names.map((name) => `${tenant.id}|${name}`))
      try {
        const { isRight, value } = await needs.db.transaction().execute(async (tx) => {
          const found = await lookUp(tx, await takeAll({ ...needs, tx }, tenant, names))
          if (found.isRight) await giveBackAll(tx, tenant, [...names, wholeTenant])
          return found
        })
        if (isRight) giveBack()
        return value
      } catch (thrown) {
        // Refused on another instance's account: not counted here either. A store that is away leaves the count here.
        if (isFault(thrown)) giveBack()
        throw thrown
      }
    },
  }
}

const wholeTenant = 'tenant'

/** A person has one count in all their sessions. Behind an address that is not public may be everybody: a proxy. */
function guessersOf(keyring: Keyring, { userId, address }: Guesser): readonly string[] {
  const network = address === undefined ? undefined : publicNetwork(address)
  const person = `user:${userId}`
  return network === undefined
    ? [person]
    : [person, `address:${keyring.digest('device_guesser', network)}`]
}

type Counting = Needs & { readonly tx: Database }

/** Always in the same order, so that two transactions never wait for each other. */
async function takeAll(needs: Counting, tenant: Tenant, names: readonly string[]): Promise<number> {
  for (const name of names) await takeOne(needs, tenant, name)
  const { wrong } = await needs.tx
    .insertInto('device_guesses')
    .values({ tenant_id: tenant.id, guesser: wholeTenant, wrong: 1, expires_at: null })
    .onConflict((conflict) =>
      conflict
        .columns(['tenant_id', 'guesser'])
        .doUpdateSet((row) => ({ wrong: row('device_guesses.wrong', '+', 1) })),
    )
    .returning('wrong')
    .executeTakeFirstOrThrow()
  return wrong
}

/** One statement counts and decides: a try that is refused is not counted, so waiting always helps. */
async function takeOne({ tx, clock }: Counting, tenant: Tenant, name: string): Promise<void> {
  const now = clock.now()
  const until = now + wrongWindowMs
  const taken = await tx
    .insertInto('device_guesses')
    .values({ tenant_id: tenant.id, guesser: name, wrong: 1, expires_at: until })
    .onConflict((conflict) =>
      conflict
        .columns(['tenant_id', 'guesser'])
        .doUpdateSet((row) => ({
          wrong: row
            .case()
            .when('device_guesses.expires_at', '<=', now)
            .then(1)
            .else(row('device_guesses.wrong', '+', 1))
            .end(),
          expires_at: until,
        }))
        .where((row) =>
          row.or([
            row('device_guesses.expires_at', '<=', now),
            row('device_guesses.wrong', '<', wrongMax),
          ]),
        ),
    )
    .returning('wrong')
    .executeTakeFirst()
  if (taken === undefined) throw tooMany(await endOf(tx, tenant, name), now)
}

async function endOf(tx: Database, tenant: Tenant, name: string): Promise<number> {
  const row = await tx
    .selectFrom('device_guesses')
    .select('expires_at')
    .where('tenant_id', '=', tenant.id)
    .where('guesser', '=', name)
    .executeTakeFirst()
  return row?.expires_at ?? 0
}

async function giveBackAll(tx: Database, tenant: Tenant, names: readonly string[]): Promise<void> {
  for (const name of names) {
    await tx
      .updateTable('device_guesses')
      .set((row) => ({ wrong: row('wrong', '-', 1) }))
      .where('tenant_id', '=', tenant.id)
      .where('guesser', '=', name)
      .where('wrong', '>', 0)
      .execute()
  }
}

/** How many wrong codes the tenant has seen. */
export async function wrongSoFar(tx: Database, tenant: Tenant): Promise<number> {
  const row = await tx
    .selectFrom('device_guesses')
    .select('wrong')
    .where('tenant_id', '=', tenant.id)
    .where('guesser', '=', wholeTenant)
    .executeTakeFirst()
  return row?.wrong ?? 0
}

const ownCountsMax = 10_000

/** The counts of this process; the one that was not used for longest goes when there are too many. */
function createOwnCounts(clock: Clock) {
  const counts = createBoundedMap<{ readonly wrong: number; readonly until: number }>(ownCountsMax)
  const wrongOf = (key: string) => {
    const count = counts.get(key)
    return count === undefined || count.until <= clock.now() ? 0 : count.wrong
  }
  const put = (key: string, wrong: number, until: number) => {
    if (wrong > 0) counts.set(key, { wrong, until })
    else counts.delete(key)
  }
  const untake = (key: string) => put(key, wrongOf(key) - 1, counts.get(key)?.until ?? 0)
  return {
    /** Counts a try, and gives what takes it back. */
    take: (keys: readonly string[]): (() => void) => {
      const full = keys.find((key) => wrongOf(key) >= wrongMax)
      if (full !== undefined) throw tooMany(counts.get(full)?.until ?? 0, clock.now())
      for (const key of keys) put(key, wrongOf(key) + 1, clock.now() + wrongWindowMs)
      return () => keys.forEach(untake)
    },
  }
}

function tooMany(until: number, now: number): Fault {
  const retryAfterS = Math.max(1, Math.ceil((until - now) / 1000))
  const minutes = Math.ceil(retryAfterS / 60)
  return new Fault('too_many_requests', {
    because: 'too many wrong device codes',
    retryAfterS,
    detail: {
      code: `Too many wrong codes were typed. Wait ${minutes} ${minutes === 1 ? 'minute' : 'minutes'}, then try again with the code that your device shows by then.`,
    },
  })
}
