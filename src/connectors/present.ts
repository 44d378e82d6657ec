// How a credential is shown to a server: the header fields of one request, and what the server's answer says about them. A
// token that is bound to a key goes with a new proof each time (RFC 9449 §7.1).
import { Fault } from '../base/fault.ts'
import { Secret } from '../base/secret.ts'
import { wantsNonce } from '../upstream/proofs.ts'
import type { Proofs } from '../upstream/proofs.ts'
import type { Reach } from './reach.ts'

/** What a server's answer says about how it was asked. */
export interface AnswerHeaders {
  readonly status: number
  readonly challenge: string | null | undefined
  readonly nonce: string | null | undefined
}

/** A credential that can be shown. */
export type Shown = Exclude<Reach, { readonly kind: 'sign_in' }>

export interface Presenter {
  readonly present: (
    credential: Shown,
    request: { readonly method: string; readonly url: string },
  ) => Readonly<Record<string, Secret>>
  /** Takes note of the server's nonce; true when the request is to be sent again, because it has to carry that one. */
  readonly heard: (credential: Shown, url: string, answer: AnswerHeaders) => boolean
}

/** Makes the presenter of one process. */
export function createPresenter({ proofs }: { readonly proofs: Proofs }): Presenter {
  return {
    present: (credential, request) => {
      if (credential.kind === 'none') return {}
      if (credential.kind === 'headers') return credential.headers
      const { token, proofKey } = credential
      if (proofKey === undefined) return { authorization: new Secret(`Bearer ${token.reveal()}`) }
      return {
        authorization: new Secret(`DPoP ${token.reveal()}`),
        dpop: proofs.prove(proofKey, { ...request, accessToken: token }),
      }
    },

    heard: (credential, url, { status, challenge, nonce }) => {
      if (credential.kind !== 'bearer' || credential.proofKey === undefined) return false
      const isNoted = proofs.note(url, nonce)
      return isNoted && status === 401 && wantsNonce(challenge)
    },
  }
}

/** What can be shown; where only a person can help, a refusal. */
export function showable(way: Reach): Shown {
  if (way.kind !== 'sign_in') return way
  throw new Fault('authorization_required', { because: way.reason })
}
