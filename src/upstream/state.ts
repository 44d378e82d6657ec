// The `state` of our own authorization requests: which flow it belongs to, until when, and for whom, under a signature
// that is checked before anything is read. Spending it is the flow's business.
import { createHash } from 'node:crypto'
import type { Keyring } from '../base/keyring.ts'

/** What a state says once its signature held. */
export interface State {
  readonly flowId: string
  readonly expiresAt: number
  /** Fits one user and one connection only. */
  readonly binding: string
}

const purpose = 'flow_state'
const idPrefix = 'flw_'
const stateCharsMax = 100

/** Writes a state: 32 to 100 characters that need no escaping in a URL (RFC 6749 §10.12). */
export function writeState(
  keyring: Keyring,
  tenantId: string,
  { flowId, expiresAt, binding }: State,
): string {
  const facts = [flowId.slice(idPrefix.length), expiresAt.toString(36), binding].join('.')
  const state = `${facts}.${keyring.sign(purpose, signed(tenantId, facts))}`
  if (state.length > stateCharsMax) throw new Error('a state is longer than providers take')
  return state
}

/** Reads a state that this tenant wrote; anything else is undefined. Says nothing about time. */
export function readState(keyring: Keyring, tenantId: string, text: string): State | undefined {
  if (text.length > stateCharsMax) return undefined
  const [id = '', time = '', binding = '', tag = '', ...more] = text.split('.')
  if (more.length > 0 || tag === '') return undefined
  const facts = [id, time, binding].join('.')
  if (!keyring.verify(purpose, signed(tenantId, facts), tag)) return undefined
  return { flowId: idPrefix + id, expiresAt: Number.parseInt(time, 36), binding }
}

/** The mark of one user and one connection: half of it each, so that either one can be told apart. */
export function bindingOf(userId: string, connectionId: string): string {
  return shortDigest(userId) + shortDigest(connectionId)
}

function shortDigest(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 8)
}

function signed(tenantId: string, facts: string): string {
  return JSON.stringify([tenantId, facts])
}
