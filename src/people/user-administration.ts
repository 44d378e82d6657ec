// People by an administrator's hand: who there is, what they may do, a new password for one who has lost theirs, and the end
// of one who has left.
import type { Clock } from '../base/clock.ts'
import type { Page, PageRequest } from '../base/page.ts'
import { randomSecret } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Actor, Journal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import type { UserRow } from '../store/schema.ts'
import { endApiKeysOf } from './api-keys.ts'
import type { Passwords } from './passwords.ts'
import { actorOf, requireAdmin } from './principal.ts'
import type { Principal } from './principal.ts'
import {
  changeUser,
  lockUser,
  requireKeeper,
  requireName,
  noSuchPerson,
  requireOther,
  requireRole,
  signOut,
} from './user-change.ts'
import type { UserChange } from './user-change.ts'
import type { Tenant } from './tenants.ts'
import { lastSignIns, listUsers, toListed } from './user-list.ts'
import type { ListedUser, UserSearch } from './user-list.ts'
import { addressIn, chiefRole, toUser } from './users.ts'
import type { Role, User, Users } from './users.ts'

/** All throw Fault('forbidden') for whoever does not look after this tenant, and for an admin who reaches for an operator. */
export interface UserAdministration {
  /** Makes a person with a password of ours, shown here once. Throws Fault('conflict' | 'invalid_input'). */
  readonly create: (
    by: Principal,
    person: { readonly email: string; readonly name?: string; readonly role: Role },
  ) => Promise<UserWithPassword>
  /** The people of the tenant, oldest first; all, or those that a search finds. */
  readonly list: (
    by: Principal,
    page?: PageRequest,
    which?: UserSearch,
  ) => Promise<Page<ListedUser>>
  /** When each of these last signed in; who never did is not among them. */
  readonly lastSignIns: (
    by: Principal,
    ids: readonly string[],
  ) => Promise<ReadonlyMap<string, number>>
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
   * Ends everything that acts for a person: they are signed out, the apps that they let in lose their access, and their API
   * keys stop. Their password and their connections stay. Throws Fault('not_found').
   */
  readonly endAccess: (by: Principal, id: string) => Promise<void>
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

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly passwords: Passwords
  readonly users: Users
  readonly journal: Journal
  /** Ends what other rooms hold for a person, inside the transaction that removes them. */
  readonly personEnds: (tx: Database, tenantId: string, userId: string) => Promise<void>
  /** Ends the access of the apps that a person let in, inside the caller's transaction. */
  readonly appsEnd: (
    tx: Database,
    tenant: Tenant,
    of: { readonly userId: string; readonly actor: Actor },
  ) => Promise<void>
}

/** Makes the administration of all tenants' people over one database. */
export function createUserAdministration(needs: Needs): UserAdministration {
  const { db, random, users } = needs
  return {
    create: async (by, person) => {
      requireAdmin(by)
      requireRole(by, person.role)
      requireName(person.name)
      const password = randomSecret(random)
      return {
        user: await users.create({ tenant: by.tenant, by: actorOf(by), password, ...person }),
        password,
      }
    },
    list: async (by, page = {}, which = {}) => listUsers(db, by, page, which),
    lastSignIns: async (by, ids) => lastSignIns(db, by, ids),
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
    endAccess: (by, id) => endAccess(needs, by, id),
    remove: (by, id) => remove(needs, by, id),
  }
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

async function endAccess(needs: Needs, by: Principal, id: string): Promise<void> {
  requireAdmin(by)
  const { tenant } = by
  const actor = actorOf(by)
  await needs.db.transaction().execute(async (tx) => {
    const row = await lockUser(tx, by, id)
    await signOut(tx, row)
    await endApiKeysOf({ ...needs, tx }, tenant, { userId: id, actor })
    await needs.appsEnd(tx, tenant, { userId: id, actor })
    await needs.journal.record(tx, {
      tenantId: tenant.id,
      type: 'user.access_ended',
      actor,
      userId: id,
      subject: { kind: 'user', id },
    })
  })
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
