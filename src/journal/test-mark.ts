// The mark of requests that `latchkey test-flow` sends. It is refused on purpose again and again, which nobody should read
// as a client's failures. Only who has the master key can make a mark, so nobody else's refusals go unnoticed with it.
import type { Clock } from '../base/clock.ts'
import type { Keyring } from '../base/keyring.ts'
import { Secret } from '../base/secret.ts'

/** The header that carries a mark. */
export const testMarkHeader = 'latchkey-test-flow'

export interface TestMarks {
  /** A mark for the next ten minutes, for one tenant. */
  readonly make: (tenantId: string) => Secret
  /** Is it a mark of ours, for this tenant, that still holds? */
  readonly holds: (tenantId: string, mark: string) => boolean
}

const purpose = 'test_mark'
/** Longer than any run may take; afterwards nobody can use what they saw of one. */
export const testMarkMs = 10 * 60_000

/** Makes the marks of one installation; there is no state but the master key. */
export function createTestMarks({
  clock,
  keyring,
}: {
  readonly clock: Clock
  readonly keyring: Pick<Keyring, 'sign' | 'verify'>
}): TestMarks {
  return {
    make: (tenantId) => {
      const until = clock.now() + testMarkMs
      return new Secret(`${until}.${keyring.sign(purpose, signed(tenantId, until))}`)
    },
    holds: (tenantId, mark) => {
      const { until = '', tag = '' } =
        /^(?<until>\d{1,15})\.(?<tag>[\w-]{43})$/.exec(mark)?.groups ?? {}
      if (!(Number(until) > clock.now())) return false
      return keyring.verify(purpose, signed(tenantId, Number(until)), tag)
    },
  }
}

function signed(tenantId: string, until: number): string {
  return JSON.stringify([tenantId, until])
}
