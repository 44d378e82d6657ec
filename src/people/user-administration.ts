// People by an operator's hand: who there is, what they may do, and a new password for one who has lost theirs.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import { randomSecret } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Journal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import type { UserRow } from '../store/schema.ts'
import type { Passwords } from './passwords.ts'
import type { Tenant } from './tenants.ts'
import { chiefRole, requireRoleOf, toUser } from './users.ts'
import type { Role, User, Users } from './users.ts'

/** The roles from the least to the most. */
export const roles = ['user', 'admin', 'operator'] as const satisfies readonly Role[]

export interface UserAdministration {
  /** Makes a person with a password of ours, shown here once. Throws Fault('conflict' | 'invalid_input'). */
  readonly create: (
    tenant: Tenant,
    person: { readonly email: string; readonly name?: string; readonly role: Role },
  ) => Promise<UserWithPassword>
  /** The people of a tenant, oldest first; at most 10 000. */
  readonly list: (tenant: Tenant) => Promise<readonly ListedUser[]>
  /**
   * Holds from the next request on. Throws Fault('not_found'), Fault('invalid_input') for an operator of another tenant than
   * the default one, or Fault('conflict') for the last operator, or elsewhere the last administrator.
   */
  readonly setRole: (tenant: Tenant, id: string, role: Role) => Promise<User>
  /** A new password, shown here once; whoever is signed in as this person is signed out. Throws Fault('not_found'). */
  readonly resetPassword: (tenant: Tenant, id: string) => Promise<UserWithPassword>
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
}

const listedMax = 10_000

/** Makes the administration of all tenants' people over one database. */
export function createUserAdministration(needs: Needs): UserAdministration {
  const { db, random, users } = needs
  return {
    create: async (tenant, person) => {
      const password = randomSecret(random)
      return { user: await users.create({ tenant, password, ...person }), password }
    },
    list: async (tenant) => {
      const rows = await db
        .selectFrom('users')
        .selectAll()
        .where('tenant_id', '=', tenant.id)
        .orderBy('created_at')
        .orderBy('id')
        .limit(listedMax)
        .execute()
      return rows.map(toListed)
    },
    setRole: (tenant, id, role) => setRole(needs, tenant, id, role),
    resetPassword: (tenant, id) => resetPassword(needs, tenant, id),
  }
}

function toListed(row: UserRow): ListedUser {
  return { ...toUser(row), createdAt: row.created_at, disabled: row.disabled_at !== null }
}

async function setRole(
  { db, journal }: Needs,
  tenant: Tenant,
  id: string,
  role: Role,
): Promise<User> {
  requireRoleOf(tenant, role)
  return db.transaction().execute(async (tx) => {
    // The tenant's row first: of two operators who step down at the same moment, the second waits and sees the first.
    await tx
      .updateTable('tenants')
      .set((columns) => ({ name: columns.ref('name') }))
      .where('id', '=', tenant.id)
      .execute()
    const changed = await tx
      .updateTable('users')
      .set({ role })
      .where('tenant_id', '=', tenant.id)
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirst()
    if (changed === undefined) throw noSuchPerson()
    await requireChief(tx, tenant)
    await journal.record(tx, {
      tenantId: tenant.id,
      type: 'user.role_changed',
      actor: { kind: 'operator' },
      userId: id,
      subject: { kind: 'user', id },
      data: { role },
    })
    return toUser(changed)
  })
}

async function requireChief(tx: Database, tenant: Tenant): Promise<void> {
  const role = chiefRole(tenant)
  const left = await tx
    .selectFrom('users')
    .select('id')
    .where('tenant_id', '=', tenant.id)
    .where('role', '=', role)
    .where('disabled_at', 'is', null)
    .limit(1)
    .executeTakeFirst()
  if (left !== undefined) return
  throw new Fault('conflict', { because: `somebody has to stay an ${role}` })
}

async function resetPassword(
  { db, clock, random, passwords, journal }: Needs,
  tenant: Tenant,
  id: string,
): Promise<UserWithPassword> {
  const password = randomSecret(random)
  const set = { hash: await passwords.hash(password), updated_at: clock.now() }
  return db.transaction().execute(async (tx) => {
    const row = await tx
      .selectFrom('users')
      .selectAll()
      .where('tenant_id', '=', tenant.id)
      .where('id', '=', id)
      .executeTakeFirst()
    if (row === undefined) throw noSuchPerson()
    await tx
      .insertInto('passwords')
      .values({ tenant_id: tenant.id, user_id: id, ...set })
      .onConflict((conflict) => conflict.columns(['tenant_id', 'user_id']).doUpdateSet(set))
      .execute()
    await tx
      .deleteFrom('sessions')
      .where('tenant_id', '=', tenant.id)
      .where('user_id', '=', id)
      .execute()
    await journal.record(tx, {
      tenantId: tenant.id,
      type: 'user.password_reset',
      actor: { kind: 'operator' },
      userId: id,
      subject: { kind: 'user', id },
    })
    return { user: toUser(row), password }
  })
}

function noSuchPerson(): Fault {
  return new Fault('not_found', { because: 'no such person in this tenant' })
}
