// The numbers of our authorization server. Each is a setting with a default that follows the standards.

/** How long things live; whole milliseconds. */
export interface Policy {
  readonly codeLifetimeMs: number
  readonly accessTokenLifetimeMs: number
  /** From its making; every rotation begins anew. */
  readonly refreshTokenLifetimeMs: number
  /** How long a person may take between the client's request and their answer. */
  readonly authorizationRequestLifetimeMs: number
  /** How long a pushed request waits for its browser (RFC 9126 §2.2: short, 5 to 600 seconds). */
  readonly pushedRequestLifetimeMs: number
  /** How long a key signs before the next one takes over. */
  readonly signingKeyLifetimeMs: number
  /** How long a device may wait for its person (RFC 8628 §3.2). */
  readonly deviceCodeLifetimeMs: number
  /** How long a spent refresh token still returns the answer that it was spent for. */
  readonly replayWindowMs: number
}

const secondMs = 1000
const minuteMs = 60 * secondMs
const dayMs = 24 * 60 * minuteMs

/** The defaults (RFC 6749 §4.1.2, RFC 9700 §2.2.2 and §4.14). */
export const defaultPolicy: Policy = {
  codeLifetimeMs: minuteMs,
  accessTokenLifetimeMs: 60 * minuteMs,
  refreshTokenLifetimeMs: 30 * dayMs,
  authorizationRequestLifetimeMs: 10 * minuteMs,
  pushedRequestLifetimeMs: 90 * secondMs,
  signingKeyLifetimeMs: 90 * dayMs,
  deviceCodeLifetimeMs: 10 * minuteMs,
  replayWindowMs: 30 * secondMs,
}
