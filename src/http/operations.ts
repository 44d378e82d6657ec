// What a load balancer asks: is the process alive, and can it serve? Both answer without saying anything about the inside.
import { sql } from 'kysely'
import { Fault } from '../base/fault.ts'
import { isDefault } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import { json } from './answers.ts'
import { route } from './route.ts'
import type { Route } from './route.ts'

interface Needs {
  readonly db: Database
  /** Everything that is measured, as Prometheus reads it. */
  readonly measurements: () => Promise<string>
}

/** The rows of `/healthz`, `/readyz` and `/metrics`. */
export function operationRoutes({ db, measurements }: Needs): readonly Route[] {
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
    route({
      method: 'GET',
      path: '/metrics',
      guard: 'admin',
      keyScope: 'metrics',
      surface: 'api',
      words:
        'What is measured, for Prometheus; with an administrator’s API key that has the scope metrics.',
      run: async ({ tenant }) => {
        // The measurements are of the whole installation, which other tenants have no business with.
        if (!isDefault(tenant)) throw new Fault('forbidden', { because: 'another tenant' })
        return metricsAnswer(await measurements())
      },
    }),
  ]
}

/** The text format of Prometheus. */
function metricsAnswer(text: string): Response {
  return new Response(text, {
    headers: {
      'content-type': 'text/plain; version=0.0.4; charset=utf-8',
      'cache-control': 'no-store',
    },
  })
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
