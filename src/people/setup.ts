// Who is made first: the operator of the installation, from a one-time link that the start prints or from settings; and a
// tenant's first administrator, from a link that an operator hands over. Once there is one the link is worth nothing.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Random } from '../base/random.ts'
import { randomSecret } from '../base/random.ts'
import { Secret } from '../base/secret.ts'
import type { Journal } from '../journal/entries.ts'
import { claimOnce } from '../store/claim.ts'
import type { Database } from '../store/database.ts'
import type { Tenant } from './tenants.ts'
import { chiefRole } from './users.ts'
import type { User, Users } from './users.ts'

export interface Setup {
  /** A new link while nobody who administers has been made yet, else undefined. Earlier links end. */
  readonly link: (tenant: Tenant) => Promise<SetupLink | undefined>
  /** Is this the live link of a tenant that nobody administers? */
  readonly isOpen: (tenant: Tenant, link: Secret) => Promise<boolean>
  /** Has anybody been made who administers this tenant? */
  readonly isDone: (tenant: Tenant) => Promise<boolean>
  /**
   * Spends the link and makes the operator, or in another tenant its first administrator. Throws Fault('gone') when it was
   * used, replaced or has expired.
   */
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

/** The link is a secret: whoever opens it first has the tenant. */
export interface SetupLink {
  readonly secret: Secret
  readonly url: Secret
  readonly expiresAt: number
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
  const isDone = (tenant: Tenant) => hasChief(db, tenant)

  const isOpen = async (tenant: Tenant, link: Secret) => {
    if (await isDone(tenant)) return false
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
    isDone,

    link: async (tenant) => {
      if (await isDone(tenant)) return undefined
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
      const url = new Secret(`${tenant.issuer}/setup?link=${link.reveal()}`)
      return { secret: link, url, expiresAt: now + lifetimeMs }
    },

    complete: async (tenant, link, operator) => {
      if (!(await isOpen(tenant, link))) throw gone()
      // The person first: a refused password must not spend the link. Two at once meet at the unique e-mail or the claim.
      return completeOnce(needs, tenant, link, operator)
    },

    fromSettings: async (tenant, { email, password }) => {
      if (await isDone(tenant)) return
      await users.create({ tenant, email, password, role: chiefRole(tenant) })
    },
  }
}

/** People may come in before, through a provider of the tenant; they end no link. */
async function hasChief(db: Database, tenant: Tenant): Promise<boolean> {
  const found = await db
    .selectFrom('users')
    .select('id')
    .where('tenant_id', '=', tenant.id)
    .where('role', '!=', 'user')
    .limit(1)
    .executeTakeFirst()
  return found !== undefined
}

async function completeOnce(
  { db, clock, keyring, users, journal }: Needs,
  tenant: Tenant,
  link: Secret,
  { email, password }: { readonly email: string; readonly password: Secret },
): Promise<User> {
  const prepared = await users.prepare({ tenant, email, password, role: chiefRole(tenant) })
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
