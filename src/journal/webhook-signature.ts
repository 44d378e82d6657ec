// Signs what a webhook sends, as Standard Webhooks 1.0 says: HMAC-SHA256 over id, time and body under each secret alive.
import { createHmac } from 'node:crypto'
import type { Random } from '../base/random.ts'
import { Secret } from '../base/secret.ts'

/** One sending of one message. */
export interface SignedParts {
  /** The same for every attempt. */
  readonly id: string
  /** Seconds since 1970, of this attempt. */
  readonly timestampS: number
  readonly body: string
}

const secretPrefix = 'whsec_'
// Standard Webhooks, "Signature scheme": between 24 and 64 bytes.
const secretBytes = 32

/** A new signing secret: `whsec_` and the base64 of its bytes. */
export function makeWebhookSecret(random: Random): Secret {
  return new Secret(secretPrefix + Buffer.from(random.secretBytes(secretBytes)).toString('base64'))
}

/** Does this text show one of the secrets, or the larger part of it? A receiver holds it without what stands in front. */
export function holdsAnyOf(secrets: readonly Secret[], text: string): boolean {
  return secrets.some((secret) => {
    const bare = secret.reveal().slice(secretPrefix.length)
    const half = Math.floor(bare.length / 2)
    return text.includes(bare.slice(0, half)) || text.includes(bare.slice(half))
  })
}

/** The header fields that let the receiver check who sent this, and when. */
export function signatureHeaders(
  parts: SignedParts,
  secrets: readonly Secret[],
): Readonly<Record<string, string>> {
  return {
    'webhook-id': parts.id,
    'webhook-timestamp': String(parts.timestampS),
    'webhook-signature': secrets.map((secret) => sign(parts, secret)).join(' '),
  }
}

function sign({ id, timestampS, body }: SignedParts, secret: Secret): string {
  const key = Buffer.from(secret.reveal().slice(secretPrefix.length), 'base64')
  return `v1,${createHmac('sha256', key).update(`${id}.${timestampS}.${body}`).digest('base64')}`
}
