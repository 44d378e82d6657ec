// Signed-in browsers. A session is a random cookie value of which only a keyed digest is stored; it is new at each
// sign-in, so a cookie planted before cannot become one (session fixation).
import type { Clock } from '../base/clock.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Random } from '../base/random.ts'
import { randomSecret } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Journal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import { verifiedPrincipal } from './principal.ts'
import type { SessionPrincipal } from './principal.ts'
import type { Tenant } from './tenants.ts'
import type { User } from './users.ts'
import { toUser } from './users.ts'

export interface Sessions {
  /** Signs a person in on one browser; the cookie's value is shown here once. */
  readonly begin: (
    tenant: Tenant,
    user: User,
    /** What the person's provider gave with the sign-in: the session ends with it. */
    providerGrantId?: string,
  ) => Promise<BegunSession>
  /** The person behind a cookie; undefined when it is unknown, expired, ended, or of another tenant. */
  readonly find: (tenant: Tenant, cookie: Secret) => Promise<SessionPrincipal | undefined>
  readonly end: (session: SessionPrincipal) => Promise<void>
}

export interface BegunSession {
  readonly cookie: Secret
  readonly expiresAt: number
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
}

const hourMs = 3_600_000
/** How long a session lives after sign-in. */
const lifetimeMs = 12 * hourMs

/** Makes the sessions of all tenants over one database. */
export function createSessions({ db, clock, random, keyring, journal }: Needs): Sessions {
  return {
    begin: async (tenant, user, providerGrantId) => {
      const cookie = randomSecret(random)
      const now = clock.now()
      const expiresAt = now + lifetimeMs
      await db.transaction().execute(async (tx) => {
        await tx
          .insertInto('sessions')
          .values({
            tenant_id: tenant.id,
            session_digest: keyring.digest('session', cookie),
            user_id: user.id,
            created_at: now,
            last_used_at: now,
            expires_at: expiresAt,
            provider_grant_id: providerGrantId ?? null,
          })
          .execute()
        await journal.record(tx, signedInOrOut('user.signed_in', tenant, user))
      })
      return { cookie, expiresAt }
    },

    find: async (tenant, cookie) => {
      const row = await db
        .selectFrom('sessions')
        .innerJoin('users', (join) =>
          join
            .onRef('users.tenant_id', '=', 'sessions.tenant_id')
            .onRef('users.id', '=', 'sessions.user_id'),
        )
        .selectAll('users')
        .select(['sessions.session_digest', 'sessions.provider_grant_id'])
        .where('sessions.tenant_id', '=', tenant.id)
        .where('sessions.session_digest', 'in', keyring.digests('session', cookie))
        .where('sessions.expires_at', '>', clock.now())
        .where('users.disabled_at', 'is', null)
        .executeTakeFirst()
      if (row === undefined) return undefined
      return verifiedPrincipal<SessionPrincipal>({
        kind: 'session',
        tenant,
        user: toUser(row),
        sessionDigest: row.session_digest,
        providerGrantId: row.provider_grant_id ?? undefined,
      })
    },

    end: async ({ tenant, user, sessionDigest }) => {
      await db.transaction().execute(async (tx) => {
        await tx
          .deleteFrom('sessions')
          .where('tenant_id', '=', tenant.id)
          .where('session_digest', '=', sessionDigest)
          .execute()
        await journal.record(tx, signedInOrOut('user.signed_out', tenant, user))
      })
    },
  }
}

function signedInOrOut(type: 'user.signed_in' | 'user.signed_out', tenant: Tenant, user: User) {
  return {
    tenantId: tenant.id,
    type,
    actor: { kind: 'user', id: user.id },
    userId: user.id,
    subject: { kind: 'user', id: user.id },
  } as const
}
