// The first operator: made from a one-time link that the start prints, or from settings. Once a person exists the link
// is worth nothing.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Random } from '../base/random.ts'
import { randomSecret } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Journal } from '../journal/entries.ts'
import { claimOnce } from '../store/claim.ts'
import type { Database } from '../store/database.ts'
import type { Tenant } from './tenants.ts'
import type { User, Users } from './users.ts'

export interface Setup {
  /** A new link's secret part while nobody has been made yet, else undefined. Earlier links end. */
  readonly link: (tenant: Tenant) => Promise<Secret | undefined>
  /** Is this the live link of a tenant without people? */
  readonly isOpen: (tenant: Tenant, link: Secret) => Promise<boolean>
  /** Spends the link and makes the operator. Throws Fault('gone') when it was used, replaced or has expired. */
  readonly complete: (
    tenant: Tenant,
    link: Secret,
    operator: { readonly email: string; readonly password: Secret },
  ) => Promise<User>
  /** Makes the operator that the settings name, if nobody exists yet. */
  readonly fromSettings: (
    tenant: Tenant,
    operator: { readonly email: string; readonly password: Secret },
  ) => Promise<void>
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly users: Users
  readonly journal: Journal
}

const lifetimeMs = 24 * 3_600_000

/** Makes the set-up of the first operator. */
export function createSetup(needs: Needs): Setup {
  const { db, clock, random, keyring, users } = needs

  const isOpen = async (tenant: Tenant, link: Secret) => {
    if ((await users.count(tenant)) > 0) return false
    const row = await db
      .selectFrom('setup_links')
      .select('expires_at')
      .where('tenant_id', '=', tenant.id)
      .where('link_digest', 'in', keyring.digests('setup_link', link))
      .where('claimed_at', 'is', null)
      .executeTakeFirst()
    return row !== undefined && row.expires_at > clock.now()
  }

  return {
    isOpen,

    link: async (tenant) => {
      if ((await users.count(tenant)) > 0) return undefined
      const link = randomSecret(random)
      const now = clock.now()
      await db.transaction().execute(async (tx) => {
        await tx.deleteFrom('setup_links').where('tenant_id', '=', tenant.id).execute()
        await tx
          .insertInto('setup_links')
          .values({
            tenant_id: tenant.id,
            link_digest: keyring.digest('setup_link', link),
            created_at: now,
            expires_at: now + lifetimeMs,
            claimed_at: null,
          })
          .execute()
      })
      return link
    },

    complete: async (tenant, link, operator) => {
      if (!(await isOpen(tenant, link))) throw gone()
      // The person first: a refused password must not spend the link. Two at once meet at the unique e-mail or the claim.
      return completeOnce(needs, tenant, link, operator)
    },

    fromSettings: async (tenant, { email, password }) => {
      if ((await users.count(tenant)) > 0) return
      await users.create({ tenant, email, password, role: 'operator' })
    },
  }
}

async function completeOnce(
  { db, clock, keyring, users, journal }: Needs,
  tenant: Tenant,
  link: Secret,
  { email, password }: { readonly email: string; readonly password: Secret },
): Promise<User> {
  const prepared = await users.prepare({ tenant, email, password, role: 'operator' })
  return db.transaction().execute(async (tx) => {
    const digest = keyring.digest('setup_link', link)
    const claimed = await claimOnce(
      tx,
      'setup_links',
      { tenant_id: tenant.id, link_digest: digest },
      clock.now(),
    )
    if (claimed === undefined) throw gone()
    const user = await prepared.store(tx)
    await journal.record(tx, {
      tenantId: tenant.id,
      type: 'setup.completed',
      actor: { kind: 'user', id: user.id },
      userId: user.id,
      subject: { kind: 'user', id: user.id },
    })
    return user
  })
}

function gone(): Fault {
  return new Fault('gone', { because: 'the set-up link was used, replaced or has expired' })
}
