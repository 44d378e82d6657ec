// How people prove who they are elsewhere: (issuer, subject) belongs to one person, and nothing but that pair ever finds
// them. An e-mail address joins nobody to anybody. Who may speak for an issuer is decided by those who ask.
import type { Clock } from '../base/clock.ts'
import { Fault, isFault } from '../base/fault.ts'
import type { Actor, Journal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import type { Tenant } from './tenants.ts'
import { addressIn } from './users.ts'
import type { Users } from './users.ts'

/** What names a person at an issuer (OIDC Core §2). */
export interface IdentityKey {
  readonly issuer: string
  readonly subject: string
}

export interface Identity extends IdentityKey {
  readonly userId: string
  readonly createdAt: number
}

export interface Identities {
  /** The id of the person behind this subject; undefined for one that nobody here is known by. */
  readonly find: (tenant: Tenant, key: IdentityKey) => Promise<string | undefined>
  /** The person behind this subject, made if there is none; the e-mail is theirs unless somebody else here has it. */
  readonly findOrCreate: (
    tenant: Tenant,
    key: IdentityKey,
    person: { readonly verifiedEmail?: string },
  ) => Promise<string>
  /** Lets a subject speak for this person. Throws Fault('not_found'), or Fault('conflict') when it speaks for another. */
  readonly link: (
    tenant: Tenant,
    key: IdentityKey,
    by: { readonly userId: string; readonly actor: Actor },
  ) => Promise<Identity>
  /** Ends that, inside the caller's transaction, and says whose it was. Throws Fault('not_found'). */
  readonly unlink: (tx: Database, tenant: Tenant, key: IdentityKey, actor: Actor) => Promise<string>
  /** Notes that it was used, inside the caller's transaction, and says whose it is by then. */
  readonly noteUse: (tx: Database, tenant: Tenant, key: IdentityKey) => Promise<string | undefined>
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly journal: Journal
  readonly users: Pick<Users, 'prepare'>
}

/** Makes the identities of all tenants over one database. */
export function createIdentities(needs: Needs): Identities {
  const { db } = needs
  const find = async (tenant: Tenant, key: IdentityKey) =>
    (await rowOf(db, tenant, key))?.user_id ?? undefined
  return {
    find,
    findOrCreate: async (tenant, key, person) => {
      const known = await find(tenant, key)
      return known ?? createFor(needs, tenant, key, person)
    },
    link: (tenant, key, by) => link(needs, tenant, key, by),
    unlink: (tx, tenant, key, actor) => unlink(needs, { tx, tenant, actor }, key),
    noteUse: async (tx, tenant, { issuer, subject }) => {
      const used = await tx
        .updateTable('identities')
        .set({ last_used_at: needs.clock.now() })
        .where('tenant_id', '=', tenant.id)
        .where('issuer', '=', issuer)
        .where('subject', '=', subject)
        .returning('user_id')
        .executeTakeFirst()
      return used?.user_id
    },
  }
}

// OIDC Core §2: at most 255 ASCII characters; a database also must never see a NUL.
const subjectShape = /^[\x20-\x7E]{1,255}$/

/** Says whether a text can be a subject at all. */
export function isSubject(text: unknown): text is string {
  return typeof text === 'string' && subjectShape.test(text)
}

function rowOf(db: Database, tenant: Tenant, { issuer, subject }: IdentityKey) {
  return db
    .selectFrom('identities')
    .select(['user_id', 'created_at'])
    .where('tenant_id', '=', tenant.id)
    .where('issuer', '=', issuer)
    .where('subject', '=', subject)
    .executeTakeFirst()
}

/** Of several at once for one new subject one makes the person; the others find them. */
async function createFor(
  needs: Needs,
  tenant: Tenant,
  key: IdentityKey,
  { verifiedEmail }: { readonly verifiedEmail?: string },
): Promise<string> {
  const address = verifiedEmail === undefined ? undefined : addressIn(verifiedEmail)
  const isFree = address !== undefined && (await isNobodys(needs.db, tenant, address))
  // An address may be taken in between, by somebody else; then it is theirs.
  for (const email of isFree ? [address, undefined] : [undefined]) {
    const userId = await storeOrFind(needs, tenant, key, email)
    if (userId !== undefined) return userId
  }
  throw new Fault('temporarily_unavailable', { because: 'the same subject came and went' })
}

async function storeOrFind(
  needs: Needs,
  tenant: Tenant,
  key: IdentityKey,
  email: string | undefined,
): Promise<string | undefined> {
  try {
    return await storePerson(needs, tenant, key, email)
  } catch (error) {
    if (!isFault(error) || error.code !== 'conflict') throw error
    // In a transaction, as what the winner wrote may be seen before it is committed only there.
    const winner = await needs.db.transaction().execute((tx) => rowOf(tx, tenant, key))
    return winner?.user_id
  }
}

/** A person who is disabled keeps their address. */
async function isNobodys(db: Database, tenant: Tenant, address: string): Promise<boolean> {
  const row = await db
    .selectFrom('users')
    .select('id')
    .where('tenant_id', '=', tenant.id)
    .where('email', '=', address)
    .executeTakeFirst()
  return row === undefined
}

async function storePerson(
  { db, clock, journal, users }: Needs,
  tenant: Tenant,
  key: IdentityKey,
  email: string | undefined,
): Promise<string> {
  const mail = email === undefined ? {} : { email, emailVerified: true }
  const prepared = await users.prepare({ tenant, role: 'user', ...mail })
  return db.transaction().execute(async (tx) => {
    const { id } = await prepared.store(tx)
    const actor = { kind: 'system' } as const
    await storeIdentity({ tx, clock, journal }, tenant, key, { userId: id, actor })
    return id
  })
}

/** Throws Fault('conflict') when the subject is somebody's already. */
async function storeIdentity(
  { tx, clock, journal }: Pick<Needs, 'clock' | 'journal'> & { readonly tx: Database },
  tenant: Tenant,
  { issuer, subject }: IdentityKey,
  { userId, actor }: { readonly userId: string; readonly actor: Actor },
): Promise<Identity> {
  const createdAt = clock.now()
  const stored = await tx
    .insertInto('identities')
    .values({
      tenant_id: tenant.id,
      issuer,
      subject,
      user_id: userId,
      created_at: createdAt,
      last_used_at: null,
    })
    .onConflict((conflict) => conflict.columns(['tenant_id', 'issuer', 'subject']).doNothing())
    .returning('user_id')
    .executeTakeFirst()
  if (stored === undefined) throw new Fault('conflict', { because: 'the subject is known already' })
  await journal.record(tx, {
    tenantId: tenant.id,
    type: 'identity.linked',
    actor,
    userId,
    subject: { kind: 'user', id: userId },
    data: { issuer },
  })
  return { issuer, subject, userId, createdAt }
}

async function link(
  { db, clock, journal }: Needs,
  tenant: Tenant,
  key: IdentityKey,
  { userId, actor }: { readonly userId: string; readonly actor: Actor },
): Promise<Identity> {
  if (!isSubject(key.subject)) {
    throw new Fault('invalid_input', {
      because: 'this cannot be a subject',
      detail: { subject: 'Use 1 to 255 ASCII characters, as the issuer writes them.' },
    })
  }
  const known = await rowOf(db, tenant, key)
  if (known?.user_id === userId) return { ...key, userId, createdAt: known.created_at }
  return db.transaction().execute(async (tx) => {
    const user = await tx
      .selectFrom('users')
      .select('id')
      .where('tenant_id', '=', tenant.id)
      .where('id', '=', userId)
      .executeTakeFirst()
    if (user === undefined) throw new Fault('not_found', { because: 'no such person here' })
    return storeIdentity({ tx, clock, journal }, tenant, key, { userId, actor })
  })
}

async function unlink(
  { journal }: Needs,
  { tx, tenant, actor }: { readonly tx: Database; readonly tenant: Tenant; readonly actor: Actor },
  { issuer, subject }: IdentityKey,
): Promise<string> {
  const removed = isSubject(subject)
    ? await tx
        .deleteFrom('identities')
        .where('tenant_id', '=', tenant.id)
        .where('issuer', '=', issuer)
        .where('subject', '=', subject)
        .returning('user_id')
        .executeTakeFirst()
    : undefined
  if (removed === undefined) throw new Fault('not_found', { because: 'nobody is known by this' })
  await journal.record(tx, {
    tenantId: tenant.id,
    type: 'identity.unlinked',
    actor,
    userId: removed.user_id,
    subject: { kind: 'user', id: removed.user_id },
    data: { issuer },
  })
  return removed.user_id
}
