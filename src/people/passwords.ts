// Passwords of people: argon2id in PHC text form, computed off the event loop, a few at a time.
// What a password belongs to is the business of users.ts.
import { argon2, timingSafeEqual } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { Fault } from '../base/fault.ts'
import type { Random } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'

export interface Passwords {
  /** Hashes a new password. Throws Fault('invalid_input') for one that is too short or too long. */
  readonly hash: (password: Secret) => Promise<string>
  /** True when the password made this hash; takes the same time for an absent hash. */
  readonly matches: (password: Secret, hash: string | undefined) => Promise<boolean>
}

/** The shortest password that we accept; length is what NIST SP 800-63B asks for. */
export const minimumPasswordLength = 12
const maximumPasswordBytes = 1024

// OWASP's floor for argon2id: 19 MiB, two passes, one lane; about 20 ms.
const memoryKib = 19_456
const passes = 2
const lanes = 1
const tagBytes = 32
const saltBytes = 16
const waitingMaximum = 64

/** Makes the password hasher; it has a queue of its own so that a flood of sign-ins cannot stall the process. */
export function createPasswords({ random }: { readonly random: Random }): Passwords {
  const queue = createQueue(availableParallelism())

  const hash = async (password: Secret): Promise<string> => {
    const salt = Buffer.from(random.bytes(saltBytes))
    const tag = await queue(() => derive(password, salt))
    return `$argon2id$v=19$m=${memoryKib},t=${passes},p=${lanes}$${text(salt)}$${text(tag)}`
  }

  return {
    hash: (password) => {
      checkLength(password)
      return hash(password)
    },

    matches: async (password, stored) => {
      if (Buffer.byteLength(password.reveal()) > maximumPasswordBytes) return false
      const { salt, tag } = stored === undefined ? nobody : parse(stored)
      const computed = await queue(() => derive(password, salt))
      return timingSafeEqual(computed, tag) && stored !== undefined
    },
  }
}

const nobody = { salt: Buffer.alloc(saltBytes), tag: Buffer.alloc(tagBytes) }

function checkLength(password: Secret): void {
  const value = password.reveal()
  if (Array.from(value).length < minimumPasswordLength) {
    throw new Fault('invalid_input', {
      because: 'the password is too short',
      detail: { password: `Use at least ${minimumPasswordLength} characters.` },
    })
  }
  if (Buffer.byteLength(value) > maximumPasswordBytes) {
    throw new Fault('invalid_input', {
      because: 'the password is too long',
      detail: { password: `Use at most ${maximumPasswordBytes} bytes.` },
    })
  }
}

function derive(password: Secret, salt: Buffer): Promise<Buffer> {
  const message = Buffer.from(password.reveal().normalize('NFKC'))
  const parameters = {
    message,
    nonce: salt,
    parallelism: lanes,
    tagLength: tagBytes,
    memory: memoryKib,
    passes,
  }
  return new Promise((resolve, reject) => {
    argon2('argon2id', parameters, (error, tag) => (error ? reject(error) : resolve(tag)))
  })
}

function parse(stored: string): { readonly salt: Buffer; readonly tag: Buffer } {
  const [, , , , salt, tag] = stored.split('$')
  if (salt === undefined || tag === undefined)
    throw new Error('a stored password hash is malformed')
  return { salt: Buffer.from(salt, 'base64'), tag: Buffer.from(tag, 'base64') }
}

function text(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '')
}

/** Runs at most `width` tasks at once and lets a bounded number wait. */
function createQueue(width: number): <T>(task: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let running = 0

  return async (task) => {
    if (running >= width) {
      if (waiting.length >= waitingMaximum) {
        throw new Fault('too_many_requests', {
          because: 'too many passwords are being checked',
          retryAfterS: 5,
        })
      }
      await new Promise<void>((resolve) => waiting.push(resolve))
    } else {
      running += 1
    }
    try {
      return await task()
    } finally {
      const next = waiting.shift()
      if (next === undefined) running -= 1
      else next()
    }
  }
}
