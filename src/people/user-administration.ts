// People by an administrator's hand: who there is, what they may do, a new password for one who has lost theirs, and the end
// of one who has left.
import type { Clock } from '../base/clock.ts'
import { limitOf, pageOf, positionOf } from '../base/page.ts'
import type { Page, PageRequest } from '../base/page.ts'
import { randomSecret } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Journal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import type { UserRow } from '../store/schema.ts'
import type { Passwords } from './passwords.ts'
import { actorOf, requireAdmin } from './principal.ts'
import type { Principal } from './principal.ts'
import {
  changeUser,
  lockUser,
  requireKeeper,
  noSuchPerson,
  requireOther,
  requireRole,
  signOut,
} from './user-change.ts'
import type { UserChange } from './user-change.ts'
import type { Tenant } from './tenants.ts'
import { addressIn, chiefRole, toUser } from './users.ts'
import type { Role, User, Users } from './users.ts'

/** The roles from the least to the most. */
export const roles = ['user', 'admin', 'operator'] as const satisfies readonly Role[]

/** All throw Fault('forbidden') for whoever does not look after this tenant, and for an admin who reaches for an operator. */
export interface UserAdministration {
  /** Makes a person with a password of ours, shown here once. Throws Fault('conflict' | 'invalid_input'). */
  readonly create: (
    by: Principal,
    person: { readonly email: string; readonly name?: string; readonly role: Role },
  ) => Promise<UserWithPassword>
  /** The people of the tenant, oldest first. */
  readonly list: (by: Principal, page?: PageRequest) => Promise<Page<ListedUser>>
  /** Who has looked after a tenant the longest; nobody may, before it is set up. */
  readonly keeper: (tenant: Tenant) => Promise<User | undefined>
  /** The one with this id or e-mail address, disabled or not. */
  readonly find: (tenant: Tenant, who: string) => Promise<ListedUser | undefined>
  /** Throws Fault('not_found'). */
  readonly get: (by: Principal, id: string) => Promise<ListedUser>
  /** Holds from the next request on. Throws Fault('not_found'), or Fault('conflict') for the last who looks after the tenant. */
  readonly update: (by: Principal, id: string, change: UserChange) => Promise<ListedUser>
  /** A new password, shown here once; whoever is signed in as this person is signed out. Throws Fault('not_found'). */
  readonly resetPassword: (by: Principal, id: string) => Promise<UserWithPassword>
  /**
   * Removes a person and all that is theirs: sessions, keys, what they let in, and their connections, which the providers are
   * asked to forget. Throws as `update` does.
   */
  readonly remove: (by: Principal, id: string) => Promise<void>
}

export interface UserWithPassword {
  readonly user: User
  readonly password: Secret
}

export type ListedUser = User & { readonly createdAt: number; readonly disabled: boolean }

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly passwords: Passwords
  readonly users: Users
  readonly journal: Journal
  /** Ends what other rooms hold for a person, inside the transaction that removes them. */
  readonly personEnds: (tx: Database, tenantId: string, userId: string) => Promise<void>
}

/** Makes the administration of all tenants' people over one database. */
export function createUserAdministration(needs: Needs): UserAdministration {
  const { db, random, users } = needs
  return {
    create: async (by, person) => {
      requireAdmin(by)
      requireRole(by, person.role)
      const password = randomSecret(random)
      return { user: await users.create({ tenant: by.tenant, password, ...person }), password }
    },
    list: (by, page = {}) => list(db, by, page),
    keeper: (tenant) => findKeeper(db, tenant),
    find: async (tenant, who) => {
      const row = await findRow(db, tenant, who)
      return row && toListed(row)
    },
    get: async (by, id) => {
      requireAdmin(by)
      const row = await findRow(db, by.tenant, id)
      if (row === undefined) throw noSuchPerson()
      return toListed(row)
    },
    update: async (by, id, change) => {
      requireAdmin(by)
      const work = (tx: Database) => changeUser({ ...needs, tx }, by, id, change)
      return toListed(await db.transaction().execute(work))
    },
    resetPassword: (by, id) => resetPassword(needs, by, id),
    remove: (by, id) => remove(needs, by, id),
  }
}

function toListed(row: UserRow): ListedUser {
  return { ...toUser(row), createdAt: row.created_at, disabled: row.disabled_at !== null }
}

function findRow(db: Database, tenant: Tenant, who: string): Promise<UserRow | undefined> {
  const address = addressIn(who)
  return db
    .selectFrom('users')
    .selectAll()
    .where('tenant_id', '=', tenant.id)
    .where((is) => (address === undefined ? is('id', '=', who) : is('email', '=', address)))
    .executeTakeFirst()
}

async function list(db: Database, by: Principal, page: PageRequest): Promise<Page<ListedUser>> {
  requireAdmin(by)
  const { createdAt, id } = positionOf(page)
  const rows = await db
    .selectFrom('users')
    .selectAll()
    .where('tenant_id', '=', by.tenant.id)
    .where((is) => is(is.refTuple('created_at', 'id'), '>', is.tuple(createdAt, id)))
    .orderBy('created_at')
    .orderBy('id')
    .limit(limitOf(page) + 1)
    .execute()
  return pageOf(rows, page, toListed)
}

async function findKeeper(db: Database, tenant: Tenant): Promise<User | undefined> {
  const row = await db
    .selectFrom('users')
    .selectAll()
    .where('tenant_id', '=', tenant.id)
    .where('role', '=', chiefRole(tenant))
    .where('disabled_at', 'is', null)
    .orderBy('created_at')
    .orderBy('id')
    .limit(1)
    .executeTakeFirst()
  return row && toUser(row)
}

async function remove({ db, journal, personEnds }: Needs, by: Principal, id: string) {
  requireAdmin(by)
  const { tenant } = by
  await db.transaction().execute(async (tx) => {
    const row = await lockUser(tx, by, id)
    requireOther(by, row)
    await personEnds(tx, tenant.id, id)
    // Sessions, identities, keys, consents, grants with their tokens and connections go with the row.
    await tx.deleteFrom('users').where('tenant_id', '=', tenant.id).where('id', '=', id).execute()
    await requireKeeper(tx, tenant, row)
    await journal.record(tx, {
      tenantId: tenant.id,
      type: 'user.deleted',
      actor: actorOf(by),
      userId: id,
      subject: { kind: 'user', id },
    })
  })
}

async function resetPassword(
  { db, clock, random, passwords, journal }: Needs,
  by: Principal,
  id: string,
): Promise<UserWithPassword> {
  requireAdmin(by)
  const { tenant } = by
  const password = randomSecret(random)
  const set = { hash: await passwords.hash(password), updated_at: clock.now() }
  return db.transaction().execute(async (tx) => {
    const row = await lockUser(tx, by, id)
    await tx
      .insertInto('passwords')
      .values({ tenant_id: tenant.id, user_id: id, ...set })
      .onConflict((conflict) => conflict.columns(['tenant_id', 'user_id']).doUpdateSet(set))
      .execute()
    await signOut(tx, row)
    await journal.record(tx, {
      tenantId: tenant.id,
      type: 'user.password_reset',
      actor: actorOf(by),
      userId: id,
      subject: { kind: 'user', id },
    })
    return { user: toUser(row), password }
  })
}
