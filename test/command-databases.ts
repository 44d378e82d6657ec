// Where a command of its own process may keep its data: the embedded database, or a schema of its own in a Postgres server.
import { randomBytes } from 'node:crypto'
import type { TestContext } from 'node:test'
import { startPostgres } from './postgres-server.ts'
import { asOwner } from './templates.ts'

/** The settings that name the database; undefined where there is no server that a second process can reach. */
export const commandDatabases = {
  sqlite: async () => ({}),
  postgres: async (t: TestContext) => {
    const server = await startPostgres()
    if (server.kind === 'none' || server.kind === 'pglite') return undefined
    const schema = `command_${randomBytes(8).toString('hex')}`
    await asOwner(server.url, `create schema ${schema}`)
    t.after(async () => {
      await asOwner(server.url, `drop schema ${schema} cascade`)
      await server.stop()
    })
    const url = new URL(server.url)
    url.searchParams.set('options', `-c search_path=${schema}`)
    return { LATCHKEY_DATABASE_URL: url.href }
  },
} as const
