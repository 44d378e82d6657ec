// Who manages clients and scopes: an administrator of the tenant, or the operator at the command line.
import { Fault } from '../base/fault.ts'
import type { Actor } from '../journal/entries.ts'
import type { Tenant } from '../people/tenants.ts'
import type { User } from '../people/users.ts'

/** Who manages clients: a person or their API key, or the operator at the command line. */
export interface ClientMaker {
  readonly tenant: Tenant
  readonly user?: User | undefined
  readonly keyId?: string
}

/** Throws Fault('forbidden') for a person who is not an administrator. */
export function requireAdministrator({ user }: ClientMaker): void {
  if (user?.role !== 'user') return
  throw new Fault('forbidden', { because: 'only an administrator manages clients' })
}

/** Who did it, for the journal. */
export function actorOf({ user, keyId }: ClientMaker, kind: string): Actor {
  if (keyId !== undefined) return { kind: 'key', id: keyId }
  if (user !== undefined) return { kind: 'user', id: user.id }
  return { kind: kind === 'manual' ? 'operator' : 'anonymous' }
}
