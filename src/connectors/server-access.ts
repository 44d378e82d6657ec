// Who may use a server (S1-14): everybody of the tenant, unless people or roles are named; administrators always. Asked
// before anything about the call is asked elsewhere.
import { Fault } from '../base/fault.ts'
import { isAdmin } from '../people/principal.ts'
import type { Principal } from '../people/principal.ts'
import type { Tenant } from '../people/tenants.ts'
import { roles } from '../people/users.ts'
import type { User } from '../people/users.ts'
import type { Database } from '../store/database.ts'
import { invalid } from './server-input.ts'

/** The list of a server: ids of people and names of roles; absent: everybody. */
export interface Access {
  readonly mayUse?: readonly string[]
}

const namesMax = 200

/** Is the server this person's to use? */
export function isOpenTo({ mayUse }: Access, user: Pick<User, 'id' | 'role'>): boolean {
  if (mayUse === undefined || user.role !== 'user') return true
  return mayUse.includes(user.id) || mayUse.includes(user.role)
}

/** The same for whoever calls. */
export function mayUse(server: Access, principal: Principal): boolean {
  if (isAdmin(principal)) return true
  const { user } = principal
  return user !== undefined && isOpenTo(server, user)
}

/** Throws Fault('server_forbidden') for whoever may not use it. */
export function requireUse(server: Access, principal: Principal): void {
  if (mayUse(server, principal)) return
  throw new Fault('server_forbidden', { because: 'the list of the server does not name them' })
}

/** The same where a server that one may not use is not there. */
export function requireVisible(server: Access, principal: Principal): void {
  try {
    requireUse(server, principal)
  } catch (cause) {
    throw new Fault('not_found', { because: 'a server that they may not use', cause })
  }
}

/** The list as it is kept; none when it names nobody. Throws Fault('invalid_input') for a name that nobody has here. */
export async function accessColumn(
  db: Database,
  tenant: Tenant,
  given: readonly string[],
): Promise<string | null> {
  const names = [...new Set(given)]
  if (given.length > namesMax) throw invalid('mayUse', `Name at most ${namesMax} people or roles.`)
  if (names.length === 0) return null
  const people = names.filter((name) => !roleNames.has(name))
  if ((await countKnown(db, tenant, people)) === people.length) return JSON.stringify(names)
  throw invalid(
    'mayUse',
    `Name people of this tenant by their ids, or a role: ${roles.join(', ')}.`,
  )
}

const roleNames = new Set<string>(roles)

async function countKnown(db: Database, { id }: Tenant, people: readonly string[]) {
  if (people.length === 0) return 0
  const rows = await db
    .selectFrom('users')
    .select('id')
    .where('tenant_id', '=', id)
    .where('id', 'in', people)
    .execute()
  return rows.length
}

/** The list in a row. */
export function readAccess(stored: string): readonly string[] {
  return JSON.parse(stored) as readonly string[] // only accessColumn() writes it
}
