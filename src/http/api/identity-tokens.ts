// REST for what identity providers say of people: the back end of an app where somebody has signed in at their company's
// provider hands the ID token over, so that tokens for servers can be asked for with it.
import { z } from 'zod'
import { Fault } from '../../base/fault.ts'
import { Secret } from '../../base/secret.ts'
import type { Journal } from '../../journal/entries.ts'
import type { Database } from '../../store/database.ts'
import type { Upstream } from '../../upstream/upstream.ts'
import { json } from '../answers.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'
import { found } from '../output.ts'
import { time } from './shapes/common.ts'

interface Needs {
  readonly db: Database
  readonly journal: Journal
  readonly upstream: Pick<Upstream, 'subjectTokens'>
}

const keptToken = z.strictObject({ issuer: z.string(), expiresAt: time }).meta({ id: 'KeptToken' })

/** The row of `/api/v1/identity-tokens`. */
export function identityTokenRoutes({ db, journal, upstream }: Needs): readonly Route[] {
  return [
    route({
      surface: 'api',
      path: '/api/v1/identity-tokens',
      method: 'POST',
      guard: 'api',
      keyScope: 'connections:token',
      isNeverReplayed: true,
      input: z.strictObject({ idToken: z.string().max(16_384) }),
      output: found(keptToken),
      words:
        'Keeps the ID token of the key’s person, for servers that are reached with it (id_jag).',
      run: async ({ principal, input }) => {
        const { tenant, user } = principal
        if (principal.kind !== 'key' || user === undefined) {
          throw new Fault('forbidden', { because: 'only an API key vouches for an ID token' })
        }
        const kept = await db.transaction().execute(async (tx) => {
          const subject = { tenantId: tenant.id, userId: user.id }
          const { issuer, expiresAt } = await upstream.subjectTokens.keep(
            tx,
            subject,
            new Secret(input.idToken),
          )
          await journal.record(tx, {
            tenantId: tenant.id,
            type: 'identity.token_kept',
            actor: { kind: 'key', id: principal.keyId },
            userId: user.id,
            subject: { kind: 'user', id: user.id },
            data: { issuer },
          })
          return { issuer, expiresAt }
        })
        return json(kept)
      },
    }),
  ]
}
