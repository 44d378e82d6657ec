// Us as a sender of DPoP proofs (RFC 9449): a key for each set of tokens, a proof for each request, and the nonces that
// servers gave, as this process remembers them. The keys are kept beside the tokens, by the vault.
import { createBoundedMap } from '../base/bounded.ts'
import type { Clock } from '../base/clock.ts'
import { randomId } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import { parseChallenges } from '../oauth/challenge.ts'
import { createProof } from '../oauth/dpop-proof.ts'
import { makePrivateKey, openPrivateKey, privateKeyBytes } from '../oauth/private-key.ts'
import type { Binding } from './held.ts'

/** One request to a server, and the token that it carries. */
export interface ProvenRequest {
  readonly method: string
  readonly url: string
  readonly accessToken?: Secret
}

/** What new tokens are to be bound to. */
export interface ProofOfKey {
  readonly key: Secret
  /** Tokens without it are of no use. */
  readonly isRequired: boolean
}

export interface Proofs {
  readonly createKey: () => Secret
  /** The value of the `DPoP` field; good for one request. */
  readonly prove: (key: Secret, request: ProvenRequest) => Secret
  /** Takes note of the nonce of an answer (§8.2); false when it has none. */
  readonly note: (url: string, nonce: string | null | undefined) => boolean
}

const originsMax = 1_000
// RFC 9449 §8.1: what may stand in a nonce; a longer one only makes every request longer.
const nonceShape = /^[\x21\x23-\x5b\x5d-\x7e]{1,512}$/

/** Makes the sender of one process. */
export function createProofs({
  clock,
  random,
}: {
  readonly clock: Clock
  readonly random: Random
}): Proofs {
  const nonces = createBoundedMap<string>(originsMax)
  return {
    createKey: () => makePrivateKey(random.secretBytes(privateKeyBytes)).jwk,

    prove: (key, request) =>
      createProof(openPrivateKey(key), {
        ...request,
        now: clock.now(),
        id: randomId(random, ''),
        nonce: nonces.get(new URL(request.url).origin),
      }),

    note: (url, nonce) => {
      if (typeof nonce !== 'string' || !nonceShape.test(nonce)) return false
      nonces.set(new URL(url).origin, nonce)
      return true
    },
  }
}

/** A new key for new tokens, where both servers take such. */
export function newProof(
  { createKey }: Pick<Proofs, 'createKey'>,
  { proofs }: Pick<Binding, 'proofs'>,
): ProofOfKey | undefined {
  return proofs === undefined ? undefined : { key: createKey(), isRequired: proofs === 'required' }
}

/** The key that tokens are bound to already: what is bound does not become Bearer again. */
export function proofOf(proofKey: Secret | undefined): ProofOfKey | undefined {
  return proofKey === undefined ? undefined : { key: proofKey, isRequired: true }
}

/** Says whether a server's challenge wants the same request again, with its nonce (§9). */
export function wantsNonce(challenge: string | null | undefined): boolean {
  return parseChallenges(challenge ?? '').some(
    ({ scheme, parameters }) =>
      scheme.toLowerCase() === 'dpop' && parameters['error'] === 'use_dpop_nonce',
  )
}
