// What an identity provider said of a person when they last signed in there (an ID token), kept until it is over: with it
// their tokens for other servers are asked for (MCP enterprise-managed authorization). Whoever lets people sign in at a
// provider hands it over here.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Secret } from '../base/secret.ts'
import type { Database } from '../store/database.ts'
import { unverifiedClaims } from './unverified-claims.ts'

/** Whose it is. */
export interface Subject {
  readonly tenantId: string
  readonly userId: string
}

export interface SubjectTokens {
  /** Keeps it in place of the one before; says of which issuer it is. Throws Fault('invalid_input') for what is none, or over. */
  readonly keep: (
    db: Database,
    subject: Subject,
    idToken: Secret,
  ) => Promise<{ readonly issuer: string; readonly expiresAt: number }>
  /** The one of this issuer; undefined when it is over. */
  readonly find: (subject: Subject, issuer: string) => Promise<Secret | undefined>
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly keyring: Keyring
}

const keptMaxMs = 24 * 60 * 60 * 1000

/** Makes it over one database. */
export function createSubjectTokens({ db, clock, keyring }: Needs): SubjectTokens {
  return {
    keep: async (tx, { tenantId, userId }, idToken) => {
      const now = clock.now()
      const { issuer, sub, expiresAt } = readIdToken(idToken, now)
      const facts = {
        subject: sub,
        token_sealed: keyring.seal(idToken, placeOf({ tenantId, userId }, issuer)),
        // However long its issuer means it to live, a day is the most that it speaks for a person here.
        expires_at: Math.min(expiresAt, now + keptMaxMs),
        created_at: now,
      }
      await tx
        .insertInto('subject_tokens')
        .values({ tenant_id: tenantId, user_id: userId, issuer, ...facts })
        .onConflict((conflict) =>
          conflict.columns(['tenant_id', 'user_id', 'issuer']).doUpdateSet(facts),
        )
        .execute()
      return { issuer, expiresAt: facts.expires_at }
    },

    find: async ({ tenantId, userId }, issuer) => {
      const row = await db
        .selectFrom('subject_tokens')
        .select('token_sealed')
        .where('tenant_id', '=', tenantId)
        .where('user_id', '=', userId)
        .where('issuer', '=', issuer)
        .where('expires_at', '>', clock.now())
        .executeTakeFirst()
      return row && keyring.open(row.token_sealed, placeOf({ tenantId, userId }, issuer))
    },
  }
}

/** OIDC Core §2. Its signature is for its issuer to check, which is the only one who ever gets it (RFC 8693 §2.1). */
function readIdToken(idToken: Secret, now: number) {
  const { iss, sub, exp } = unverifiedClaims(idToken) ?? {}
  const isComplete = typeof iss === 'string' && URL.canParse(iss) && typeof sub === 'string'
  if (!isComplete || exp === undefined) throw unusable('This is not an ID token.')
  if (exp * 1000 <= now) throw unusable('This ID token is over.')
  return { issuer: iss, sub, expiresAt: Math.floor(exp * 1000) }
}

function unusable(words: string): Fault {
  return new Fault('invalid_input', {
    because: 'the ID token cannot be used',
    detail: { idToken: words },
  })
}

function placeOf({ tenantId, userId }: Subject, issuer: string) {
  const row = JSON.stringify([userId, issuer])
  return { tenant: tenantId, table: 'subject_tokens', row, column: 'token_sealed' }
}
