// Chance, as something that is given. Secrets have a source of their own, so that tests can mark every secret they cause
// and search for it afterwards.
import { randomBytes } from 'node:crypto'
import { Secret } from './secret.ts'

export interface Random {
  readonly bytes: (count: number) => Uint8Array
  /** Bytes that become a secret. */
  readonly secretBytes: (count: number) => Uint8Array
}

/** The system's generator. */
export const systemRandom: Random = { bytes: randomBytes, secretBytes: randomBytes }

const idAlphabet = '0123456789abcdefghjkmnpqrstvwxyz'
const idCharacters = 26

/** A name for a row: the prefix and 130 random bits in lower case letters and digits. */
export function randomId(random: Random, prefix: string): string {
  const characters = Array.from(random.bytes(idCharacters), (byte) => idAlphabet[byte % 32])
  return prefix + characters.join('')
}

const secretBytes = 32

/** A new secret: the prefix and 256 random bits in base64url. */
export function randomSecret(random: Random, prefix = ''): Secret {
  return new Secret(prefix + Buffer.from(random.secretBytes(secretBytes)).toString('base64url'))
}
