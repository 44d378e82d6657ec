// Entries that strangers cause: what was asked and refused before anybody was verified. The journal only grows, so each is
// written at most once in ten minutes for one visitor, few per visitor and address, and so many per tenant and minute; what
// is dropped is counted. Nobody waits for a note, and one that fails costs the visitor nothing.
import { createHash } from 'node:crypto'
import { subscriberOf } from '../base/addresses.ts'
import { createBoundedMap, createWindowCounter } from '../base/bounded.ts'
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Database } from '../store/database.ts'
import type { Attempts, Visitor } from './attempts.ts'
import type { Actor, EntryData, EntryType, Journal } from './entries.ts'
import { holdsSecret } from './no-secrets.ts'
import type { RefusalCounts } from './refusal-counts.ts'
import type { TestMarks } from './test-mark.ts'

/** Something that happened to a visitor. */
export interface Note {
  readonly visitor: Visitor
  readonly type: EntryType
  /** Notes of one visitor with the same words here are the same; may hold a secret, only its hash is kept. */
  readonly same: readonly string[]
  /** For a refusal: how it is counted, whether the note is written or not. */
  readonly refusal?: { readonly error: string; readonly clientId?: string | undefined }
  readonly data: EntryData
  /** What only a look into the database tells; asked when there is room for the note. Undefined: not worth a note. */
  readonly find?: () => Promise<Found | undefined>
}

/** What a note is about. */
export interface Found {
  /** Its attempt, when something exact says so; else the visitor's. */
  readonly attempt?: string | undefined
  readonly clientId?: string | undefined
  readonly grantId?: string | undefined
  readonly userId?: string | undefined
  readonly data?: EntryData | undefined
}

export interface Notes {
  readonly note: (note: Note) => void
  /** How many notes were not written since the start. */
  readonly dropped: () => number
  /** Waits for the notes on their way. */
  readonly settle: () => Promise<void>
}

export interface NoteNeeds {
  readonly db: Database
  readonly clock: Clock
  readonly log: Log
  readonly journal: Pick<Journal, 'record'>
  readonly attempts: Pick<Attempts, 'of' | 'forClient'>
  readonly counts: Pick<RefusalCounts, 'add'>
  readonly testMarks: Pick<TestMarks, 'holds'>
}

/** How long the same is not noted again. */
export const sameAgainMs = 10 * 60_000
/** The most notes of one visitor in that time. */
export const notesPerVisitor = 30
/** The most notes from one address in that time, whatever else a visitor says about itself. */
export const notesPerAddress = 150
/** The most notes of one tenant in a minute, in one process. */
export const notesPerTenantMinute = 300
const minuteMs = 60_000
const pendingMax = 200
const rememberedMax = 20_000

/** Makes the notes of one process. */
export function createNotes(needs: NoteNeeds): Notes {
  const { log, counts, testMarks } = needs
  const room = createRoom(needs)
  let pending = 0
  let written: Promise<void> = Promise.resolve()
  let dropped = 0

  const writeSafely = async (note: Note, at: number) => {
    try {
      await write(needs, note, at)
    } catch (cause) {
      dropped += 1
      log.warn({ type: note.type, cause }, 'something that a stranger did was not noted')
    }
    pending -= 1
  }

  return {
    note: (note) => {
      const { visitor, type, refusal } = note
      const { tenantId, testMark } = visitor
      if (testMark !== undefined && testMarks.holds(tenantId, testMark)) return
      if (refusal !== undefined) counts.add({ tenantId, type, ...refusal })
      const place = pending >= pendingMax ? 'full' : room.take(note)
      if (place === 'full') dropped += 1
      if (place !== 'free') return
      pending += 1
      const at = needs.clock.now()
      // One after the other, so that they stand in the journal as they happened.
      written = written.then(() => writeSafely(note, at))
    },
    dropped: () => dropped,
    settle: () => written,
  }
}

type Place = 'free' | 'noted_before' | 'full'

/** Says whether there is room for a note, and takes it. */
function createRoom({ clock }: NoteNeeds) {
  const noted = createBoundedMap<number>(rememberedMax)
  const visitors = createWindowCounter(clock, { windowMs: sameAgainMs, namesMax: rememberedMax })
  const addresses = createWindowCounter(clock, { windowMs: sameAgainMs, namesMax: rememberedMax })
  const tenants = createWindowCounter(clock, { windowMs: minuteMs, namesMax: rememberedMax })

  return {
    take: ({ visitor, type, same }: Note): Place => {
      const now = clock.now()
      const who = hash([visitor.tenantId, visitor.address ?? '', visitor.agent ?? ''])
      const key = hash([who, type, ...same])
      if ((noted.get(key) ?? 0) > now) return 'noted_before'
      if (visitors.count(who) >= notesPerVisitor) return 'full'
      const address = addressOf(visitor)
      if (address !== undefined && addresses.count(address) >= notesPerAddress) return 'full'
      if (tenants.count(visitor.tenantId) >= notesPerTenantMinute) return 'full'
      visitors.add(who)
      if (address !== undefined) addresses.add(address)
      tenants.add(visitor.tenantId)
      noted.set(key, now + sameAgainMs)
      return 'free'
    },
  }
}

/** Nobody is singled out whose address is not known: it may be anybody's. */
function addressOf({ tenantId, address }: Visitor): string | undefined {
  return address === undefined ? undefined : `${tenantId} ${subscriberOf(address) ?? address}`
}

// Only for the memory of this process: a name of fixed length for what a stranger sent, however long or secret.
function hash(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url')
}

async function write(needs: NoteNeeds, note: Note, at: number): Promise<void> {
  const { db, journal, attempts } = needs
  const { visitor, type } = note
  const found = note.find === undefined ? {} : await note.find()
  if (found === undefined) return
  const named = found.clientId ?? note.refusal?.clientId
  const clientId = named === undefined ? undefined : usableId(named)
  const attempt =
    found.attempt ??
    (clientId === undefined ? undefined : await attempts.forClient(visitor, clientId)) ??
    (await attempts.of(visitor))
  const { grantId, userId } = found
  const data = cleaned({ ...note.data, ...found.data, ...agentOf(visitor) })
  await db.transaction().execute((tx) =>
    journal.record(tx, {
      tenantId: visitor.tenantId,
      type,
      actor: grantId === undefined ? anonymous : { kind: 'client', id: clientId },
      userId,
      ...subjectOf({ grantId, clientId }),
      attempt,
      at,
      data,
    }),
  )
}

const anonymous: Actor = { kind: 'anonymous' }

function subjectOf({ grantId, clientId }: Found) {
  if (grantId !== undefined) return { subject: { kind: 'grant', id: grantId } }
  return clientId === undefined ? {} : { subject: { kind: 'client', id: clientId } }
}

const textMaxChars = 200

/** What a stranger wrote may look like one of our secrets, or be long: then it is not kept. */
function cleaned(data: EntryData): EntryData {
  return Object.fromEntries(
    Object.entries(data).map(([name, value]) => {
      const isText = typeof value === 'string'
      const isUsable = !isText || (value.length <= textMaxChars && !holdsSecret(value))
      return [name, isUsable ? value : '(not kept)']
    }),
  )
}

/** A client id that may be written down: visible characters, and nothing like a secret. */
function usableId(id: string): string | undefined {
  return /^[\x21-\x7e]{1,512}$/.test(id) && !holdsSecret(id) ? id : undefined
}

/** What a program calls itself, its first word only: `node`, `claude-code/2.1`. */
function agentOf({ agent }: Visitor): { readonly agent?: string } {
  const name = /^[A-Za-z][\w.-]{0,39}(?:\/[\w.+-]{1,20})?/.exec(agent ?? '')?.[0]
  return name === undefined ? {} : { agent: name }
}
