// The person's side of a device that waits (RFC 8628 §3.3): typing its code, seeing what is asked, deciding. Only the
// session that typed the code decides (P-48), it is asked every time, and nothing about it is remembered.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import { constantTimeEqual } from '../base/keyring.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Random } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Journal } from '../journal/entries.ts'
import { parseScope } from '../oauth/scope.ts'
import type { SessionPrincipal } from '../people/principal.ts'
import type { Database } from '../store/database.ts'
import type { DeviceCodeRow } from '../store/schema.ts'
import { findClient } from './clients.ts'
import {
  createFormToken,
  isFormToken,
  recordConsent,
  requestView,
  standingByProof,
  tickedScopes,
} from './consent.ts'
import type { Question, RequestView } from './consent.ts'
import { findByUserCode, findDeviceRequest, userCodePlace } from './device-codes.ts'
import type { DeviceOrigin } from './device-codes.ts'
import { createDeviceGuesses, wrongPerCodeMax } from './device-guesses.ts'
import type { DeviceGuesses, LookUp } from './device-guesses.ts'
import { newGrantId, storeGrant } from './grants.ts'
import type { Resources } from './resources.ts'
import type { Scopes } from './scope-registry.ts'
import { readUserCode, showUserCode } from './user-code.ts'

export interface Devices {
  /** Takes a typed code for this session. Throws Fault('too_many_requests') after too many that were wrong. */
  readonly enter: (session: SessionPrincipal, typed: TypedCode) => Promise<Entered>
  /** What a request that this session has taken asks, or what was decided; undefined for any other. */
  readonly look: (session: SessionPrincipal, id: string) => Promise<DeviceStep | undefined>
  /**
   * Takes the decision; the question again when nothing was left ticked. Throws Fault('forbidden') for another session and
   * Fault('bad_form') for a form not ours.
   */
  readonly decide: (
    session: SessionPrincipal,
    id: string,
    form: DeviceForm,
  ) => Promise<DeviceQuestion | undefined>
}

export interface TypedCode {
  readonly typed: string
  /** The browser in which it was typed. */
  readonly browser: Secret
  readonly address: string | undefined
}

/** The code was taken, or a hint for the person who typed it. */
export type Entered =
  | { readonly kind: 'taken'; readonly id: string }
  | { readonly kind: 'refused'; readonly hint: string }

export type DeviceStep =
  | DeviceQuestion
  | { readonly kind: 'approved' | 'denied'; readonly clientName: string }

export interface DeviceQuestion {
  readonly kind: 'question'
  readonly view: DeviceView
  readonly formToken: string
  readonly problem?: 'nothing_ticked'
}

/** What the page shows; every text in it is somebody else's word and must be escaped. */
export interface DeviceView extends RequestView {
  readonly requestId: string
  /** As the device shows it, so that the two can be compared. */
  readonly userCode: string
  readonly origin: DeviceOrigin
  readonly askedMsAgo: number
}

export interface DeviceForm {
  /** `approve` or `deny`. */
  readonly decision: string
  readonly formToken: string
  /** The scopes left ticked; all when absent. */
  readonly scopes?: readonly string[]
}

interface Needs {
  readonly db: Database
  readonly scopes: Pick<Scopes, 'show'>
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
  readonly resources: Resources
  /** Another way to count wrong codes than our own. */
  readonly guesses?: DeviceGuesses
}

/** Makes the person's side. */
export function createDevices(needs: Needs): Devices {
  const guesses = needs.guesses ?? createDeviceGuesses(needs)
  return {
    enter: async (session, { typed, browser, address }) => {
      const reading = readUserCode(typed)
      if (reading.kind === 'misread') return refusedWith(reading.hint)
      const { tenant, user } = session
      return guesses.attempt(tenant, { userId: user.id, address }, async (tx, count) => {
        const writing = { ...needs, tx }
        const row = await findByUserCode({ ...needs, db: tx }, tenant, reading.code)
        const tried =
          row === undefined ? unknown : await takeCode(writing, session, { row, browser, count })
        if (!tried.isRight) await recordWrong(writing, session)
        return tried
      })
    },

    look: async (session, id) => {
      const row = await findDeviceRequest(needs.db, session.tenant, id)
      if (row === undefined || !isTakenBy(row, session)) return undefined
      if (row.status !== 'pending') {
        const client = await findClient(needs.db, session.tenant, row.client_id)
        const kind = row.status === 'approved' ? 'approved' : 'denied'
        return { kind, clientName: client?.name ?? 'The program' }
      }
      requireInTime(needs, row)
      const question = await readQuestion(needs, session, row)
      return askPerson(needs, { row, question }, session)
    },

    decide: async (session, id, { decision, formToken, scopes: ticked }) => {
      const row = await findDeviceRequest(needs.db, session.tenant, id)
      if (row === undefined) throw notWaiting('there is no such request')
      if (!isTakenBy(row, session)) {
        throw new Fault('forbidden', { because: 'another session typed the code' })
      }
      if (row.status !== 'pending') throw notWaiting('the request was answered before')
      requireInTime(needs, row)
      const question = await readQuestion(needs, session, row)
      if (!isFormToken(needs.keyring, { question, session }, formToken)) {
        throw badForm('the form was made for another request, session or state of the client')
      }
      if (decision === 'deny') return deny(needs, session, row)
      if (decision !== 'approve') throw badForm('the decision is neither approve nor deny')
      const scopes = tickedScopes(question, ticked)
      if (scopes.length > 0)
        return approve(needs, session, { row, question: { ...question, scopes } })
      return { ...(await askPerson(needs, { row, question }, session)), problem: 'nothing_ticked' }
    },
  }
}

type Tried = Awaited<ReturnType<LookUp<Entered>>>

function wrong(hint: string): Tried {
  return { isRight: false, value: refusedWith(hint) }
}

const unknown = wrong('No device waits with this code. Look at your device and type it again.')
const tooOld = wrong('This code is too old. Start again on your device: it shows a new one.')
const answered = wrong(
  'This code was answered already. Start again on your device if it still waits.',
)
const guessedAt =
  'Too many wrong codes were typed while this one was shown, so it does not count any more. Start again on your device: it shows a new one.'

function refusedWith(hint: string): Entered {
  return { kind: 'refused', hint }
}

interface Typed {
  readonly row: DeviceCodeRow
  readonly browser: Secret
}

/** Binds the request to the session, unless it is over, somebody else's, or was guessed at too often. */
async function takeCode(
  needs: Writing,
  session: SessionPrincipal,
  typed: Typed & { readonly count: number },
): Promise<Tried> {
  const { row, count } = typed
  // Whose it is already is told to nobody.
  if (!isFree(needs, typed)) return unknown
  if (row.status !== 'pending') return answered
  if (row.expires_at <= needs.clock.now()) return tooOld
  if (count - row.guesses_before > wrongPerCodeMax) {
    await giveUp(needs, row)
    return { isRight: true, value: refusedWith(guessedAt) }
  }
  const isBound = await bind(needs, session, typed)
  return isBound ? { isRight: true, value: { kind: 'taken', id: row.id } } : unknown
}

/** Free, or taken in this same browser: who changes the account there types the code again. */
function isFree({ keyring }: Needs, { row, browser }: Typed): boolean {
  const { browser_digest: taken } = row
  return taken === null || keyring.matches('browser', browser, taken)
}

async function recordWrong({ tx, journal }: Writing, { tenant, user }: SessionPrincipal) {
  await journal.record(tx, {
    tenantId: tenant.id,
    type: 'device.code_refused',
    actor: { kind: 'user', id: user.id },
    userId: user.id,
    subject: { kind: 'user', id: user.id },
  })
}

type Writing = Needs & { readonly tx: Database }

/** The device learns at its next poll that it needs another code. */
async function giveUp({ tx, clock }: Writing, row: DeviceCodeRow): Promise<void> {
  await tx
    .updateTable('device_codes')
    .set({ expires_at: clock.now() })
    .where('tenant_id', '=', row.tenant_id)
    .where('id', '=', row.id)
    .where('status', '=', 'pending')
    .execute()
}

/** One statement; whoever comes second has typed a code that is nobody's. */
async function bind(
  { tx, clock, keyring, journal }: Writing,
  { tenant, user, sessionDigest }: SessionPrincipal,
  { row, browser }: Typed,
): Promise<boolean> {
  const bound = await tx
    .updateTable('device_codes')
    .set({
      user_id: user.id,
      session_digest: sessionDigest,
      browser_digest: keyring.digest('browser', browser),
    })
    .where('tenant_id', '=', tenant.id)
    .where('id', '=', row.id)
    .where('status', '=', 'pending')
    .where('expires_at', '>', clock.now())
    .where((is) =>
      is.or([
        is('browser_digest', 'is', null),
        is('browser_digest', 'in', keyring.digests('browser', browser)),
      ]),
    )
    .returning('id')
    .executeTakeFirst()
  if (bound === undefined) return false
  await journal.record(tx, {
    tenantId: tenant.id,
    type: 'device.claimed',
    actor: { kind: 'user', id: user.id },
    userId: user.id,
    subject: { kind: 'client', id: row.client_id },
    attempt: row.id,
  })
  return true
}

function isTakenBy({ session_digest }: DeviceCodeRow, { sessionDigest }: SessionPrincipal) {
  return session_digest !== null && constantTimeEqual(session_digest, sessionDigest)
}

function requireInTime({ clock }: Needs, { expires_at }: DeviceCodeRow): void {
  if (expires_at > clock.now()) return
  throw new Fault('authorization_timeout', {
    because: 'the device code has expired',
    detail: { device: 'Start again on your device: it shows a new code.' },
  })
}

/** What the request asks, if client and resource are still there: both may go while a person thinks (P-109). */
async function readQuestion(
  { db, resources }: Needs,
  { tenant, user }: SessionPrincipal,
  row: DeviceCodeRow,
): Promise<Question> {
  const client = await findClient(db, tenant, row.client_id)
  if (client === undefined || client.isDisabled) {
    throw new Fault('unauthorized_client', { because: 'the client went while the person thought' })
  }
  const resource = await resources.find(tenant, row.resource)
  if (resource === undefined) {
    throw new Fault('invalid_target', { because: 'the resource went while the person thought' })
  }
  if (resource.isOpenTo?.(user) === false) {
    throw new Fault('server_forbidden', { because: 'the device asks for a server of others' })
  }
  const { id } = row
  return { client, scopes: parseScope(row.scope), resource, requestId: id, attempt: id }
}

async function askPerson(
  needs: Needs,
  asked: { readonly row: DeviceCodeRow; readonly question: Question },
  session: SessionPrincipal,
): Promise<DeviceQuestion> {
  const { question } = asked
  const formToken = createFormToken(needs.keyring, { question, session })
  return { kind: 'question', view: await viewOf(needs, asked, session), formToken }
}

async function viewOf(
  { clock, keyring, scopes }: Needs,
  { row, question }: { readonly row: DeviceCodeRow; readonly question: Question },
  session: SessionPrincipal,
): Promise<DeviceView> {
  return {
    ...(await requestView(scopes, question, session, standingByProof(question.client))),
    requestId: row.id,
    userCode: showUserCode(keyring.open(row.user_code_sealed, userCodePlace(row))),
    origin: {
      address: row.device_address ?? undefined,
      agent: row.device_agent ?? undefined,
    },
    askedMsAgo: Math.max(0, clock.now() - row.created_at),
  }
}

/** The grant and what becomes of the code are one transaction. */
async function approve(
  needs: Needs,
  session: SessionPrincipal,
  { row, question }: { readonly row: DeviceCodeRow; readonly question: Question },
): Promise<undefined> {
  const grantId = newGrantId(needs.random)
  await needs.db.transaction().execute(async (tx) => {
    const writing = { ...needs, tx }
    await storeGrant(writing, session.tenant, {
      id: grantId,
      userId: session.user.id,
      clientId: row.client_id,
      resource: row.resource,
      scopes: question.scopes,
      attempt: row.id,
      providerGrantId: session.providerGrantId,
    })
    await settle(writing, session, { row, answer: { status: 'approved', grant_id: grantId } })
    await recordConsent(writing, session, question)
  })
}

async function deny(
  needs: Needs,
  session: SessionPrincipal,
  row: DeviceCodeRow,
): Promise<undefined> {
  const { tenant, user } = session
  await needs.db.transaction().execute(async (tx) => {
    const answer = { status: 'denied', grant_id: null } as const
    await settle({ ...needs, tx }, session, { row, answer })
    await needs.journal.record(tx, {
      tenantId: tenant.id,
      type: 'consent.denied',
      actor: { kind: 'user', id: user.id },
      userId: user.id,
      subject: { kind: 'client', id: row.client_id },
      attempt: row.id,
      data: { error: 'access_denied', resource: row.resource },
    })
  })
}

interface Answer {
  readonly row: DeviceCodeRow
  readonly answer:
    | { readonly status: 'approved'; readonly grant_id: string }
    | { readonly status: 'denied'; readonly grant_id: null }
}

/** One decision counts, of the session that still has the request, and in time. Throws, which undoes the rest. */
async function settle(
  { tx, clock }: Writing,
  { tenant, sessionDigest }: SessionPrincipal,
  { row, answer }: Answer,
): Promise<void> {
  const now = clock.now()
  const settled = await tx
    .updateTable('device_codes')
    .set({ ...answer, decided_at: now })
    .where('tenant_id', '=', tenant.id)
    .where('id', '=', row.id)
    .where('status', '=', 'pending')
    .where('session_digest', '=', sessionDigest)
    .where('expires_at', '>', now)
    .returning('id')
    .executeTakeFirst()
  if (settled === undefined) throw notWaiting('the request was answered at the same moment')
}

function notWaiting(because: string): Fault {
  return new Fault('gone', {
    because,
    detail: { device: 'Start again on your device if it still waits.' },
  })
}

function badForm(because: string): Fault {
  return new Fault('bad_form', { because })
}
