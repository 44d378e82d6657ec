// What people call the things whose ids stand in the journal and in the counts. What is gone has no name any more.
import { sql } from 'kysely'
import type { Database } from '../store/database.ts'

interface Asked {
  readonly db: Database
  readonly tenantId: string
}

/** The name of each id that has one. */
export type Names = ReadonlyMap<string, string>

const tables = {
  server: { table: 'servers', name: sql<string>`name` },
  client: { table: 'clients', name: sql<string>`name` },
  user: { table: 'users', name: sql<string>`coalesce(email, name, id)` },
  provider: { table: 'providers', name: sql<string>`name` },
} as const

/** The names of some ids of one kind. */
export async function namesOf(
  { db, tenantId }: Asked,
  kind: keyof typeof tables,
  ids: readonly string[],
): Promise<Names> {
  if (ids.length === 0) return new Map()
  const { table, name } = tables[kind]
  const rows = await db
    .selectFrom(table)
    .select(['id', name.as('shown')])
    .where('tenant_id', '=', tenantId)
    .where('id', 'in', [...new Set(ids)])
    .execute()
  return new Map(rows.map(({ id, shown }) => [id, shown]))
}

/** The names of ids of any kind; a connection is called as its server is. */
export async function namesOfAll(asked: Asked, ids: readonly string[]): Promise<Names> {
  const ofConnections = await serversOf(asked, ids)
  const kinds = ['server', 'client', 'user', 'provider'] as const
  const named = await Promise.all(kinds.map((kind) => namesOf(asked, kind, ids)))
  return new Map([ofConnections, ...named].flatMap((names) => Array.from(names)))
}

async function serversOf({ db, tenantId }: Asked, ids: readonly string[]): Promise<Names> {
  if (ids.length === 0) return new Map()
  const rows = await db
    .selectFrom('connections')
    .innerJoin('servers', (join) =>
      join
        .onRef('servers.tenant_id', '=', 'connections.tenant_id')
        .onRef('servers.id', '=', 'connections.server_id'),
    )
    .select(['connections.id', 'servers.name'])
    .where('connections.tenant_id', '=', tenantId)
    .where('connections.id', 'in', [...new Set(ids)])
    .execute()
  return new Map(rows.map(({ id, name }) => [id, name]))
}
