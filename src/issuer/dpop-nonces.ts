// The nonces that DPoP proofs to us carry (RFC 9449 §8 and §9): a slot of time with our signature. Nothing is stored, so
// every instance knows the nonces of the others, and one for a tenant is nothing to another.
import type { Clock } from '../base/clock.ts'
import type { Keyring } from '../base/keyring.ts'
import type { DpopNonces } from '../oauth/dpop.ts'
import type { Tenant } from '../people/tenants.ts'

interface Needs {
  readonly clock: Clock
  readonly keyring: Keyring
}

/** A nonce is good for its own slot and the next one: for five minutes at most and half of that at least. */
export const nonceSlotMs = 150_000

const purpose = 'dpop_nonce'
const shape = /^(?<slot>\d{1,12})\.(?<tag>[\w-]{43})$/

/** The nonces of one tenant. */
export function dpopNonces({ clock, keyring }: Needs, { id }: Tenant): DpopNonces {
  const slotNow = () => Math.floor(clock.now() / nonceSlotMs)
  const dataOf = (slot: number) => `${id}.${slot}`
  return {
    current: () => {
      const slot = slotNow()
      return `${slot}.${keyring.sign(purpose, dataOf(slot))}`
    },
    goodUntil: (nonce) => {
      const { slot: digits, tag } = shape.exec(nonce)?.groups ?? {}
      if (digits === undefined || tag === undefined) return undefined
      const slot = Number(digits)
      // The clock of the instance that made it may be a little ahead of ours.
      const isNow = Math.abs(slot - slotNow()) <= 1
      const isOurs = isNow && keyring.verify(purpose, dataOf(slot), tag)
      return isOurs ? (slot + 2) * nonceSlotMs : undefined
    },
  }
}
