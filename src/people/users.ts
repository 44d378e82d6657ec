// People: exactly one row for one person in one tenant. How they prove who they are is in passwords.ts and
// identities.ts; who is signed in is in sessions.ts.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Random } from '../base/random.ts'
import { randomId } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Actor, Journal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import { steadyQuery } from '../store/hot-query.ts'
import type { UserRow } from '../store/schema.ts'
import type { Passwords } from './passwords.ts'
import { isDefault } from './tenants.ts'
import type { Tenant } from './tenants.ts'

/** One person. `operator` looks after the installation, `admin` after one tenant. */
export interface User {
  readonly id: string
  readonly tenantId: string
  readonly email?: string
  readonly emailVerified: boolean
  readonly name?: string
  readonly role: Role
}

/** What a person is called where people read it: the address by which they know themselves, if they have one. */
export function nameOf({ email, name, id }: Pick<User, 'email' | 'name' | 'id'>): string {
  return email ?? name ?? id
}

/** The roles from the least to the most. */
export const roles = ['user', 'admin', 'operator'] as const

export type Role = (typeof roles)[number]

export interface NewUser {
  readonly tenant: Tenant
  /** Absent for somebody whom only an issuer elsewhere knows (S4-14). */
  readonly email?: string
  /** Whether somebody else has proven that the address is theirs. */
  readonly emailVerified?: boolean
  readonly password?: Secret
  readonly name?: string
  readonly role: Role
  /** Who makes them; absent for one who comes by themself. */
  readonly by?: Actor
}

export interface Users {
  /**
   * Makes a person. Throws Fault('conflict') when the e-mail is taken, Fault('invalid_input') when it is none, or for an
   * operator of another tenant than the default one.
   */
  readonly create: (person: NewUser) => Promise<User>
  /** The same in two steps: the slow hashing first, then the rows inside the caller's own transaction. */
  readonly prepare: (
    person: NewUser,
  ) => Promise<{ readonly store: (tx: Database) => Promise<User> }>
  readonly byId: (tenant: Tenant, id: string) => Promise<User | undefined>
  readonly byEmail: (tenant: Tenant, email: string) => Promise<User | undefined>
  /** The person with this e-mail and password; takes the same time when there is no such person. */
  readonly verifyPassword: (
    tenant: Tenant,
    email: string,
    password: Secret,
  ) => Promise<User | undefined>
  readonly count: (tenant: Tenant) => Promise<number>
  /** Does anybody here have a password of ours? */
  readonly haveAnyPassword: (tenant: Tenant) => Promise<boolean>
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly passwords: Passwords
  readonly journal: Journal
}

// One @, no spaces, a dot in the domain or a bare host: enough to catch a slip; only a letter can prove an address.
// No control characters: Postgres refuses a text with a NUL, and then a question would be a failure.
const emailShape = /^[^\s@\p{Cc}]{1,64}@[^\s@\p{Cc}]{1,255}$/u

/** Makes the people of all tenants over one database. */
export function createUsers({ db, clock, random, passwords, journal }: Needs): Users {
  // Asked for nobody too, so that the time does not tell whether there is such a person.
  const passwordOf = async (tenant: Tenant, user: User | undefined) => {
    const row = await db
      .selectFrom('passwords')
      .select('hash')
      .where('tenant_id', '=', tenant.id)
      .where('user_id', '=', user?.id ?? '')
      .executeTakeFirst()
    return row?.hash
  }

  const prepare = async ({ tenant, email, password, name, role, by, ...mail }: NewUser) => {
    requireRoleOf(tenant, role)
    const address = email === undefined ? null : requireAddress(email)
    const hash = password && (await passwords.hash(password))
    const row: UserRow = {
      tenant_id: tenant.id,
      id: randomId(random, 'usr_'),
      email: address,
      email_verified: mail.emailVerified === true ? 1 : 0,
      name: name ?? null,
      role,
      disabled_at: null,
      created_at: clock.now(),
    }
    return {
      store: (tx: Database) => storeUser({ tx, journal, by: by ?? { kind: 'system' } }, row, hash),
    }
  }

  return {
    prepare,
    create: async (person) => {
      const prepared = await prepare(person)
      return db.transaction().execute((tx) => prepared.store(tx))
    },
    byId: (tenant, id) => findById(db, tenant, id),
    byEmail: (tenant, email) => findByEmail(db, tenant, email),

    verifyPassword: async (tenant, email, password) => {
      const user = await findByEmail(db, tenant, email)
      const isRight = await passwords.matches(password, await passwordOf(tenant, user))
      return isRight ? user : undefined
    },

    count: async (tenant) => {
      const row = await db
        .selectFrom('users')
        .select((of) => of.fn.countAll<number>().as('people'))
        .where('tenant_id', '=', tenant.id)
        .executeTakeFirstOrThrow()
      return row.people
    },

    haveAnyPassword: async (tenant) => {
      const row = await db
        .selectFrom('passwords')
        .select('user_id')
        .where('tenant_id', '=', tenant.id)
        .limit(1)
        .executeTakeFirst()
      return row !== undefined
    },
  }
}

async function findById(db: Database, tenant: Tenant, id: string): Promise<User | undefined> {
  const [row] = await findEnabled(db, { tenantId: tenant.id, id })
  return row && toUser(row)
}

// Asked for every token and call of a person.
const findEnabled = steadyQuery(
  (db, { tenantId, id }: { readonly tenantId: string; readonly id: string }) =>
    enabledUsers(db, tenantId).where('id', '=', id),
)

async function findByEmail(db: Database, tenant: Tenant, email: string): Promise<User | undefined> {
  const value = addressIn(email)
  if (value === undefined) return undefined
  const row = await enabledUsers(db, tenant.id).where('email', '=', value).executeTakeFirst()
  return row && toUser(row)
}

function enabledUsers(db: Database, tenantId: string) {
  return db
    .selectFrom('users')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('disabled_at', 'is', null)
}

async function storeUser(
  { tx, journal, by }: { readonly tx: Database; readonly journal: Journal; readonly by: Actor },
  row: UserRow,
  passwordHash: string | undefined,
): Promise<User> {
  const inserted = await tx
    .insertInto('users')
    .values(row)
    .onConflict((conflict) => conflict.columns(['tenant_id', 'email']).doNothing())
    .returning('id')
    .executeTakeFirst()
  if (inserted === undefined) {
    throw new Fault('conflict', {
      because: 'a person with this e-mail exists',
      detail: { email: 'A person with this e-mail exists already.' },
    })
  }
  if (passwordHash !== undefined) await storePassword(tx, row, passwordHash)
  await journal.record(tx, {
    tenantId: row.tenant_id,
    type: 'user.created',
    actor: by,
    userId: row.id,
    subject: { kind: 'user', id: row.id },
    data: { role: row.role },
  })
  return toUser(row)
}

async function storePassword(tx: Database, user: UserRow, hash: string): Promise<void> {
  await tx
    .insertInto('passwords')
    .values({ tenant_id: user.tenant_id, user_id: user.id, hash, updated_at: user.created_at })
    .execute()
}

/** Operators look after all tenants and live in the default one (S4-10). Throws Fault('invalid_input'). */
export function requireRoleOf(tenant: Tenant, role: Role): void {
  if (role !== 'operator' || isDefault(tenant)) return
  throw new Fault('invalid_input', {
    because: 'an operator of another tenant than the default one',
    detail: { role: 'Operators live in the default tenant; here the most is admin.' },
  })
}

/** Who is made first in a tenant, and of whom the last one stays. */
export function chiefRole(tenant: Tenant): Role {
  return isDefault(tenant) ? 'operator' : 'admin'
}

function requireAddress(email: string): string {
  const address = addressIn(email)
  if (address !== undefined) return address
  throw new Fault('invalid_input', {
    because: 'this is not an e-mail address',
    detail: { email: 'Enter an e-mail address, such as ada@example.com.' },
  })
}

/** The address as it is stored and compared; undefined for what is none. */
export function addressIn(email: string): string | undefined {
  const address = email.trim().toLowerCase()
  return emailShape.test(address) ? address : undefined
}

/** The person in a row of `users`. */
export function toUser(row: UserRow): User {
  return {
    id: row.id,
    tenantId: row.tenant_id,
    ...(row.email === null ? {} : { email: row.email }),
    emailVerified: row.email_verified === 1,
    ...(row.name === null ? {} : { name: row.name }),
    role: row.role as Role, // only create() writes it, from a Role
  }
}
