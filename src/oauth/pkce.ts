// PKCE with S256, the only method we speak (RFC 7636; OAuth 2.1 §4.1.1). Where verifier and challenge are kept is left
// to the two sides that use them.

import { createHash } from 'node:crypto'
import { constantTimeEqual } from '../base/keyring.ts'
import type { Random } from '../base/random.ts'
import { Secret } from '../base/secret.ts'

const verifierBytes = 48

/** A fresh `code_verifier` of 64 characters (RFC 7636 §4.1). */
export function createVerifier(random: Random): Secret {
  return new Secret(Buffer.from(random.secretBytes(verifierBytes)).toString('base64url'))
}

/** The S256 `code_challenge` of a verifier (RFC 7636 §4.2). */
export function challengeOf(verifier: Secret): string {
  return createHash('sha256').update(verifier.reveal()).digest('base64url')
}

/** Says whether a text has the form of an S256 challenge: 43 base64url characters (RFC 7636 §4.2). */
export function isChallenge(text: string): boolean {
  return /^[A-Za-z0-9_-]{43}$/.test(text)
}

/** Says whether a text has the form of a verifier: 43 to 128 unreserved characters (RFC 7636 §4.1). */
export function isVerifier(text: string): boolean {
  return /^[A-Za-z0-9._~-]{43,128}$/.test(text)
}

/** Compares a verifier with the stored challenge in constant time (RFC 7636 §4.6). */
export function verifierMatches(verifier: Secret | string, challenge: string): boolean {
  const secret = typeof verifier === 'string' ? new Secret(verifier) : verifier
  if (!isVerifier(secret.reveal())) return false
  return constantTimeEqual(challengeOf(secret), challenge)
}
