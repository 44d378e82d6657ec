// What an administrator changes about a person: what they are called, what they may do, whether they come in at all. Who may
// change whom is decided here, once, for REST and for the command line.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { EntryType, Journal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import type { UserRow } from '../store/schema.ts'
import { actorOf, isOperator } from './principal.ts'
import type { Principal } from './principal.ts'
import { lockTenant } from './tenants.ts'
import type { Tenant } from './tenants.ts'
import { chiefRole, requireRoleOf, roles, toUser } from './users.ts'
import type { Role } from './users.ts'

/** What may be said about a person; what is absent stays. */
export interface UserChange {
  readonly name?: string
  readonly role?: Role
  readonly disabled?: boolean
}

interface Needs {
  readonly clock: Clock
  readonly journal: Journal
}

/** Throws Fault('forbidden') where only an operator may, Fault('invalid_input') for an operator of another tenant. */
export function requireRole(by: Principal, role: Role): void {
  requireRoleOf(by.tenant, role)
  if (role !== 'operator' || isOperator(by)) return
  throw new Fault('forbidden', { because: 'only an operator makes an operator' })
}

/** The roles that this caller may give, from the least to the most. */
export function rolesOpenTo(by: Principal): readonly Role[] {
  const mayMakeOperators = isOperator(by)
  return roles.filter((role) => role !== 'operator' || mayMakeOperators)
}

export const nameMaxCharacters = 80
const nameShape = new RegExp(`^\\P{C}{1,${nameMaxCharacters}}$`, 'u')

/** Throws Fault('invalid_input') for a name that nobody could read, or that breaks a line. */
export function requireName(name: string | undefined): void {
  if (name === undefined || nameShape.test(name)) return
  throw new Fault('invalid_input', {
    because: 'this cannot be the name of a person',
    detail: { name: `A name has 1 to ${nameMaxCharacters} characters, in one line.` },
  })
}

/**
 * The person, inside a transaction in which nobody else changes the people of this tenant. Throws Fault('not_found'), or
 * Fault('forbidden') for an admin who reaches for an operator.
 */
export async function lockUser(tx: Database, by: Principal, id: string): Promise<UserRow> {
  const { tenant } = by
  // Of two keepers who step down at the same moment, the second must see the first.
  await lockTenant(tx, tenant)
  const row = await tx
    .selectFrom('users')
    .selectAll()
    .where('tenant_id', '=', tenant.id)
    .where('id', '=', id)
    .executeTakeFirst()
  if (row === undefined) throw noSuchPerson()
  if (row.role === 'operator') requireRole(by, 'operator')
  return row
}

/** Nobody shuts themself out, or lowers themself, by a slip. Throws Fault('conflict'). */
export function requireOther(by: Principal, { id }: Pick<UserRow, 'id'>): void {
  if (by.user?.id !== id) return
  throw new Fault('conflict', {
    because: 'nobody lowers, disables or removes themself',
    detail: { person: 'This is you. Ask another administrator to do it.' },
  })
}

/** Somebody has to be left who looks after this tenant, if somebody did. Throws Fault('conflict'). */
export async function requireKeeper(tx: Database, tenant: Tenant, before: UserRow): Promise<void> {
  const role = chiefRole(tenant)
  if (before.disabled_at !== null || before.role !== role) return
  const left = await tx
    .selectFrom('users')
    .select('id')
    .where('tenant_id', '=', tenant.id)
    .where('role', '=', role)
    .where('disabled_at', 'is', null)
    .limit(1)
    .executeTakeFirst()
  if (left !== undefined) return
  throw new Fault('conflict', {
    because: `somebody has to stay an ${role}`,
    detail: { role: `This is the last ${role}, and somebody has to stay one. Make another first.` },
  })
}

/** Changes a person inside the caller's transaction; what did not change is not told. */
export async function changeUser(
  { tx, clock, journal }: Needs & { readonly tx: Database },
  by: Principal,
  id: string,
  change: UserChange,
): Promise<UserRow> {
  const { tenant } = by
  const before = await lockUser(tx, by, id)
  if (change.role !== undefined) requireRole(by, change.role)
  requireName(change.name)
  if (change.disabled === true || isLowered(before, change)) requireOther(by, before)
  const after = changed(before, change, clock.now())
  await tx
    .updateTable('users')
    .set({ name: after.name, role: after.role, disabled_at: after.disabled_at })
    .where('tenant_id', '=', tenant.id)
    .where('id', '=', id)
    .execute()
  await requireKeeper(tx, tenant, before)
  // Whoever is let in again signs in again.
  if (before.disabled_at === null && after.disabled_at !== null) await signOut(tx, after)
  for (const { type, data } of eventsOf(before, after)) {
    const subject = { kind: 'user', id } as const
    const entry = { tenantId: tenant.id, type, actor: actorOf(by), userId: id, subject }
    await journal.record(tx, data === undefined ? entry : { ...entry, data })
  }
  return after
}

function isLowered(before: UserRow, { role }: UserChange): boolean {
  return role !== undefined && roles.indexOf(role) < roles.indexOf(toUser(before).role)
}

function changed(before: UserRow, { name, role, disabled }: UserChange, now: number): UserRow {
  const disabledAt = disabled === true ? (before.disabled_at ?? now) : null
  return {
    ...before,
    name: name ?? before.name,
    role: role ?? before.role,
    disabled_at: disabled === undefined ? before.disabled_at : disabledAt,
  }
}

/** Ends what one is signed in with. */
export async function signOut(tx: Database, { tenant_id, id }: UserRow): Promise<void> {
  await tx
    .deleteFrom('sessions')
    .where('tenant_id', '=', tenant_id)
    .where('user_id', '=', id)
    .execute()
}

function eventsOf(before: UserRow, after: UserRow) {
  const events: { readonly type: EntryType; readonly data?: { readonly role: string } }[] = []
  if (after.name !== before.name) events.push({ type: 'user.updated' })
  if (after.role !== before.role) {
    events.push({ type: 'user.role_changed', data: { role: after.role } })
  }
  if ((after.disabled_at === null) !== (before.disabled_at === null)) {
    events.push({ type: after.disabled_at === null ? 'user.enabled' : 'user.disabled' })
  }
  return events
}

export function noSuchPerson(): Fault {
  return new Fault('not_found', { because: 'no such person in this tenant' })
}
