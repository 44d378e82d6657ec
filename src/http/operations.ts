// What a load balancer asks: is the process alive, and can it serve? Both answer without saying anything about the inside.
import { sql } from 'kysely'
import { Fault } from '../base/fault.ts'
import type { Database } from '../store/database.ts'
import { json } from './answers.ts'
import { route } from './route.ts'
import type { Route } from './route.ts'

/** The rows of `/healthz` and `/readyz`. */
export function operationRoutes({ db }: { readonly db: Database }): readonly Route[] {
  const shared = { method: 'GET', guard: 'open', surface: 'api', limits: [] } as const
  return [
    route({
      ...shared,
      path: '/healthz',
      words: 'The process is alive.',
      run: async () => json({ status: 'ok' }),
    }),
    route({
      ...shared,
      path: '/readyz',
      words: 'The process can serve: its database answers.',
      run: async () => {
        await askDatabase(db)
        return json({ status: 'ready' })
      },
    }),
  ]
}

async function askDatabase(db: Database): Promise<void> {
  try {
    await sql`select 1`.execute(db)
  } catch (cause) {
    throw new Fault('temporarily_unavailable', {
      because: 'the database does not answer',
      cause,
      retryAfterS: 5,
    })
  }
}
