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
export const systemRandom: Random = createSystemRandom()

const pooledBytes = 4_096

// A call of the generator costs more than what it brings, so it is asked for many at a time. What was handed out is no
// longer in the pool: nobody gets it twice, and nobody finds it there.
function createSystemRandom(): Random {
  let pool = Buffer.alloc(0)
  const bytes = (count: number): Uint8Array => {
    if (count > pooledBytes) return randomBytes(count)
    if (count > pool.length) pool = randomBytes(pooledBytes)
    const taken = Uint8Array.from(pool.subarray(0, count))
    pool.fill(0, 0, count)
    pool = pool.subarray(count)
    return taken
  }
  return { bytes, secretBytes: bytes }
}

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
