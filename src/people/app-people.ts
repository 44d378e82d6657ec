// The people of an app that embeds us: an id of the app's own names one person here, who is made when the app first names
// them. They have no password and no address, and sign in only at the app.
import { Fault } from '../base/fault.ts'
import type { Database } from '../store/database.ts'
import { isSubject } from './identities.ts'
import type { Identities } from './identities.ts'
import { verifiedPrincipal } from './principal.ts'
import type { AppPrincipal } from './principal.ts'
import type { Tenant } from './tenants.ts'
import type { Users } from './users.ts'

export interface AppPeople {
  /** The person behind the app's id; undefined for one who never had anything here. Throws Fault('invalid_input'). */
  readonly find: (appUserId: string) => Promise<AppPrincipal | undefined>
  /** The same, made if there is none. */
  readonly findOrCreate: (appUserId: string) => Promise<AppPrincipal>
  /** The app's id of a person of ours. */
  readonly appUserId: (userId: string) => Promise<string | undefined>
}

interface Needs {
  readonly db: Database
  readonly tenant: Tenant
  readonly users: Pick<Users, 'byId'>
  readonly identities: Pick<Identities, 'find' | 'findOrCreate'>
}

/** Who speaks for these people; no provider's issuer looks like it. */
const issuer = 'urn:latchkey:app'

/** Makes the people of one app. */
export function createAppPeople({ db, tenant, users, identities }: Needs): AppPeople {
  const principalOf = async (userId: string | undefined) => {
    const user = userId === undefined ? undefined : await users.byId(tenant, userId)
    return user && verifiedPrincipal<AppPrincipal>({ kind: 'app', tenant, user })
  }
  return {
    find: async (appUserId) => principalOf(await identities.find(tenant, keyOf(appUserId))),

    findOrCreate: async (appUserId) => {
      const userId = await identities.findOrCreate(tenant, keyOf(appUserId), {})
      const principal = await principalOf(userId)
      if (principal !== undefined) return principal
      throw new Fault('forbidden', { because: 'the person is disabled' })
    },

    appUserId: async (userId) => {
      const row = await db
        .selectFrom('identities')
        .select('subject')
        .where('tenant_id', '=', tenant.id)
        .where('user_id', '=', userId)
        .where('issuer', '=', issuer)
        .executeTakeFirst()
      return row?.subject
    },
  }
}

function keyOf(appUserId: string) {
  if (isSubject(appUserId)) return { issuer, subject: appUserId }
  throw new Fault('invalid_input', {
    because: 'this cannot be the id of a user',
    detail: { user: 'Use 1 to 255 ASCII characters.' },
  })
}
