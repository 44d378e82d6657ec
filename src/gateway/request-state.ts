// The state that a client carries for us while a person signs in (MCP 2026-07-28, "Multi Round-Trip Requests"): sealed for
// one person, client and server, good for one call and a short time. It opens nothing by itself: the retry is a call like
// every other, so a state that is sent twice does no more than the call itself.
import { createHash } from 'node:crypto'
import type { Clock } from '../base/clock.ts'
import { isFault } from '../base/fault.ts'
import type { Keyring, SealPlace } from '../base/keyring.ts'
import type { TokenPrincipal } from '../people/principal.ts'
import type { Call } from './calls.ts'
import { isJsonObject, parseExactly, writeExactly } from './exact-json.ts'

/** Whose call it is, and where to. */
export interface StateOwner {
  readonly principal: TokenPrincipal
  readonly server: { readonly id: string }
}

/** A call that may carry a state. */
export interface StatefulCall {
  readonly call: Call
  readonly body: Buffer | undefined
}

export interface RequestStates {
  /** The state for a call that waits; undefined where it would be too long to be carried. */
  readonly seal: (owner: StateOwner, body: Buffer) => string | undefined
  /** What comes back with a retry. */
  readonly resume: (owner: StateOwner, stateful: StatefulCall) => Resumed
}

export type Resumed =
  /** There is no state, or one of the server's own: the call goes on as it is. */
  | { readonly kind: 'untouched' }
  /** Ours, for this call: its body is again what it was. */
  | { readonly kind: 'resumed'; readonly body: Buffer; readonly isDeclined: boolean }
  /** Ours once: altered, over, or for another person, client, server or call. */
  | { readonly kind: 'refused' }

/** The key of our one question in `inputRequests`. */
export const inputKey = 'latchkey_sign_in'

const lifetimeMs = 10 * 60_000
const markPurpose = 'request_state_mark'
const markCharsKept = 10
/** What a server's own round trip carries is kept with ours up to here. */
const innerCharsMax = 65_536

/** Makes the states under one keyring; they outlive restarts and key rotation. */
export function createRequestStates({
  keyring,
  clock,
}: {
  readonly keyring: Keyring
  readonly clock: Clock
}): RequestStates {
  // Behind us may be another Latchkey: its states are not ours to read.
  const marks = keyring
    .digests(markPurpose, '')
    .map((digest) => `latchkey.${digest.slice(0, markCharsKept)}.`)
  const [mark = ''] = marks

  return {
    seal: (owner, body) => {
      const { digest, inner } = readRequest(body)
      const kept = JSON.stringify({ digest, until: clock.now() + lifetimeMs, inner })
      return kept.length > innerCharsMax ? undefined : mark + keyring.seal(kept, placeOf(owner))
    },
    resume: (owner, { call: { requestState }, body }) => {
      const used = marks.find((one) => requestState?.startsWith(one))
      if (requestState === undefined || used === undefined || body === undefined) {
        return { kind: 'untouched' }
      }
      const state = open(keyring, requestState.slice(used.length), owner)
      const request = readRequest(body)
      const isGood = state?.digest === request.digest && clock.now() < state.until
      if (!isGood) return { kind: 'refused' }
      const isDeclined = isRefusal(request.inner['inputResponses'])
      return { kind: 'resumed', body: request.with(state.inner), isDeclined }
    },
  }
}

interface State {
  readonly digest: string
  readonly until: number
  /** The `requestState` and `inputResponses` of the server's own round trip, where one was going on. */
  readonly inner: Readonly<Record<string, unknown>>
}

function open(keyring: Keyring, sealed: string, owner: StateOwner): State | undefined {
  try {
    // Nobody but us can have sealed it for this place, so it is what seal() wrote.
    return JSON.parse(keyring.open(sealed, placeOf(owner)).reveal()) as State
  } catch (thrown) {
    if (isFault(thrown) && thrown.code === 'decrypt_failed') return undefined
    throw thrown
  }
}

function placeOf({ principal: { tenant, user, clientId }, server }: StateOwner): SealPlace {
  const row = JSON.stringify([user?.id ?? null, clientId, server.id])
  return { tenant: tenant.id, table: 'calls', row, column: 'request_state' }
}

/** A request without what is said only for one try of it. */
function readRequest(body: Buffer) {
  const { params, ...message } = parseExactly(body.toString()) as Record<string, unknown> // readCall() has read it
  const { requestState, inputResponses, ...lasting } = isJsonObject(params) ? params : {}
  const { _meta: _, ...asked } = lasting
  return {
    digest: digestOf([message['method'], asked]),
    inner: { requestState, inputResponses },
    with: (inner: State['inner']) =>
      Buffer.from(writeExactly({ ...message, params: { ...lasting, ...inner } })),
  }
}

/** The same request gives the same digest, in whichever order it is written. */
function digestOf(value: unknown): string {
  const plain: unknown = JSON.parse(writeExactly(value))
  const text = JSON.stringify(plain, (_name, one: unknown) =>
    isJsonObject(one) ? Object.fromEntries(Object.entries(one).toSorted(byName)) : one,
  )
  return createHash('sha256').update(text).digest('base64url')
}

function byName([left]: [string, unknown], [right]: [string, unknown]): number {
  return left < right ? -1 : 1
}

/** MCP 2026-07-28, "Response Actions": the person has declined, or closed the question. */
function isRefusal(responses: unknown): boolean {
  const answer = isJsonObject(responses) ? responses[inputKey] : undefined
  const action = isJsonObject(answer) ? answer['action'] : undefined
  return action === 'decline' || action === 'cancel'
}
