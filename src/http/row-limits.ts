// Takes the limits of a route row when what they are counted by is known: the place at once, a verified caller after the
// guard, and the client that a request names once its body is read. No client is proven yet then.
import { isFault } from '../base/fault.ts'
import type { FaultCode } from '../base/fault.ts'
import type { KeyPrincipal, SessionPrincipal } from '../people/principal.ts'
import { limits } from './limits.ts'
import type { RowLimitName } from './limits.ts'
import type { Meter } from './meter.ts'
import type { Guard, Route } from './route.ts'

/** The limits of a row, in the order in which they are taken: the narrowest first, so that it alone is used up. */
export function limitsOf(row: Pick<Route, 'guard' | 'limits'>): readonly RowLimitName[] {
  if (row.limits !== undefined) return row.limits
  return ofSomebody.has(row.guard) ? ['principal'] : ['requests']
}

const ofSomebody: ReadonlySet<Guard> = new Set(['session', 'api', 'admin', 'operator'])

/** Takes what is counted whoever calls. Throws Fault('too_many_requests'). */
export async function takeAtTheDoor(meter: Meter, row: Route): Promise<void> {
  if (row.guard === 'client') return // All of them are taken when the client has been read.
  for (const name of limitsOf(row)) {
    if (limits[name].by === 'anybody') await meter.take(name)
  }
}

/** Takes what is counted by the verified caller. Throws Fault('too_many_requests'). */
export async function takeAsPrincipal(
  meter: Meter,
  row: Route,
  principal: SessionPrincipal | KeyPrincipal | undefined,
): Promise<void> {
  if (principal === undefined) return
  const key = principal.kind === 'key' ? principal.keyId : principal.user.id
  for (const name of limitsOf(row)) {
    if (limits[name].by === 'principal') await meter.take(name, key)
  }
}

/** Takes the limits of an endpoint for clients. Throws Fault('too_many_requests'). */
export async function takeAsClient(meter: Meter, row: Route, client = ''): Promise<void> {
  for (const name of limitsOf(row)) {
    await meter.take(name, limits[name].by === 'client' ? client : '')
  }
}

/** Lets a stranger be refused as the guard or the room says, until there were too many of them from one place. */
export async function countingStrangers<T>(meter: Meter, admit: () => Promise<T>): Promise<T> {
  try {
    return await admit()
  } catch (thrown) {
    if (isFault(thrown) && ofStrangers.has(thrown.code)) await meter.take('strangers')
    throw thrown
  }
}

const ofStrangers: ReadonlySet<FaultCode> = new Set(['not_signed_in', 'invalid_token'])
