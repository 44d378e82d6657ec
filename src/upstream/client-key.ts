// A key that proves us at other authorization servers, for the rooms above: made by us, or given by an administrator.
import type { Random } from '../base/random.ts'
import { Secret } from '../base/secret.ts'
import { makePrivateKey, privateKeyBytes, readPrivateKey } from '../oauth/private-key.ts'
import type { PrivateKey, PublicJwk } from '../oauth/private-key.ts'

export type { PublicJwk }

/** `generate` makes one; anything else is a key in PEM or as a JWK, or undefined for none that we can use. */
export function clientKeyFrom(random: Random, given: string): PrivateKey | undefined {
  if (given !== 'generate') return readPrivateKey(new Secret(given))
  return makePrivateKey(random.secretBytes(privateKeyBytes))
}
