// The four kinds of rows that an authorization server stands on, as the databases themselves tell them: columns, keys,
// what goes with what, and the indexes (S3-1 to S3-7). Where we do better than the list, the test says what instead;
// docs/decisions/004 says why.
import assert from 'node:assert/strict'
import { sql } from 'kysely'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import type { Store } from './database.ts'
import { listTables } from './migration-steps.ts'

interface Shape {
  readonly id: string
  readonly table: string
  readonly columns: readonly string[]
  /** Those of them that may be empty. */
  readonly optional: readonly string[]
  readonly primaryKey: readonly string[]
  /** What takes the row with it when it goes. */
  readonly goesWith: readonly string[]
  /** Beginnings of indexes, besides the primary key. */
  readonly indexes: readonly string[]
}

const shapes: readonly Shape[] = [
  {
    id: 'S3-3',
    table: 'clients',
    // Redirect URIs and scopes stand in the metadata, as RFC 7591 names them; "active" is the absence of disabled_at.
    columns: ['id', 'name', 'metadata', 'created_at', 'created_by', 'disabled_at'],
    optional: ['created_by', 'disabled_at'],
    primaryKey: ['tenant_id', 'id'],
    // Not with its maker: a client outlives the person who made it.
    goesWith: ['tenants'],
    indexes: ['tenant_id,created_at', 'tenant_id,registration_digest'],
  },
  {
    id: 'S3-3',
    table: 'client_secrets',
    // Two secrets may live side by side while one is replaced.
    columns: ['client_id', 'secret_digest', 'created_at', 'expires_at'],
    optional: ['expires_at'],
    primaryKey: ['tenant_id', 'client_id', 'secret_digest'],
    goesWith: ['clients'],
    indexes: ['expires_at', 'tenant_id,secret_digest'],
  },
  {
    id: 'S3-4',
    table: 'codes',
    // Person and scope are the grant's; "used" is claimed_at; the challenge is required, its method is always S256.
    columns: [
      'code_digest',
      'grant_id',
      'client_id',
      'redirect_uri',
      'code_challenge',
      'created_at',
      'expires_at',
      'claimed_at',
    ],
    optional: ['claimed_at'],
    primaryKey: ['tenant_id', 'code_digest'],
    goesWith: ['grants'],
    indexes: ['expires_at', 'tenant_id,grant_id'],
  },
  {
    id: 'S3-4',
    table: 'authorization_requests',
    // The state belongs to the request and never to the code that answers it.
    columns: ['client_id', 'redirect_uri', 'state', 'scope', 'code_challenge', 'expires_at'],
    optional: ['state'],
    primaryKey: ['tenant_id', 'id'],
    goesWith: ['clients'],
    indexes: ['expires_at', 'tenant_id,client_id'],
  },
  {
    id: 'S3-5',
    table: 'access_tokens',
    columns: [
      'token_digest',
      'grant_id',
      'client_id',
      'user_id',
      'scope',
      'resource',
      'created_at',
      'expires_at',
      'revoked_at',
    ],
    // A client that acts for itself has nobody.
    optional: ['user_id', 'revoked_at'],
    primaryKey: ['tenant_id', 'token_digest'],
    goesWith: ['grants'],
    indexes: ['expires_at', 'tenant_id,grant_id'],
  },
  {
    id: 'S3-6',
    table: 'refresh_tokens',
    // Hangs on the grant and not on an access token, so that it outlives the sweep of the one it came with.
    columns: ['token_digest', 'grant_id', 'client_id', 'created_at', 'expires_at', 'claimed_at'],
    optional: ['claimed_at'],
    primaryKey: ['tenant_id', 'token_digest'],
    goesWith: ['grants'],
    indexes: ['expires_at', 'tenant_id,grant_id'],
  },
  {
    id: 'S3-7',
    table: 'grants',
    // What codes and tokens have in common, once: ending it ends them all.
    columns: ['user_id', 'client_id', 'resource', 'scope', 'last_used_at', 'revoked_at'],
    optional: ['user_id', 'last_used_at', 'revoked_at'],
    primaryKey: ['tenant_id', 'id'],
    goesWith: ['clients', 'users'],
    indexes: ['tenant_id,user_id', 'tenant_id,client_id'],
  },
]

onEveryDatabase(
  'the tables of the authorization server are as they are promised',
  async (t, store) => {
    await t.test('there is a table for each kind of row', async (t) => {
      verifies(t, 'S3-1')
      const tables = await listTables(store)
      for (const { table } of shapes) assert.ok(tables.includes(table), table)
    })
    for (const { id, table, ...shape } of shapes) {
      await t.test(table, async (t) => {
        verifies(t, id, 'S3-7')
        const columns = await columnsOf(store, table)
        for (const name of shape.columns) {
          const found = columns.find((column) => column.name === name)
          assert.ok(found !== undefined, name)
          assert.equal(found.isNullable, shape.optional.includes(name), name)
        }
        assert.equal(
          columns.some(({ name }) => ['code', 'token', 'secret', 'client_secret'].includes(name)),
          false,
          'no place for a secret in the clear',
        )
        assert.deepEqual(await primaryKeyOf(store, table), shape.primaryKey)
        const parents = await parentsOf(store, table)
        assert.deepEqual(parents.map(({ parent }) => parent).toSorted(), shape.goesWith)
        assert.ok(parents.every(({ cascades }) => cascades))
        const indexes = await indexesOf(store, table)
        for (const index of shape.indexes) {
          assert.ok(indexes.includes(index), `${index} of ${indexes.join(' ')}`)
        }
      })
    }
  },
)

onEveryDatabase('what hangs on a person or a client goes with them', async (t, store) => {
  verifies(t, 'S3-7', 'S3-42')
  const { db } = store
  await insert(store, 'tenants', { id: 't', slug: 't', issuer: 'https://a.test', name: 'A' })
  const counts = async () =>
    Promise.all(
      (['clients', 'grants', 'codes', 'access_tokens', 'refresh_tokens'] as const).map(
        async (table) => (await db.selectFrom(table).selectAll().execute()).length,
      ),
    )
  const fill = async () => {
    const one = { tenant_id: 't', client_id: 'c', grant_id: 'g', expires_at: 9 }
    await insert(store, 'users', { tenant_id: 't', id: 'u', email_verified: 0, role: 'user' })
    await insert(store, 'clients', {
      tenant_id: 't',
      id: 'c',
      kind: 'manual',
      name: 'C',
      metadata: '{}',
      metadata_digest: 'm',
      token_endpoint_auth_method: 'none',
      created_by: 'u',
    })
    const granted = { resource: 'r', scope: 'mcp' }
    await insert(store, 'grants', {
      tenant_id: 't',
      id: 'g',
      user_id: 'u',
      client_id: 'c',
      ...granted,
    })
    const code = { code_digest: 'd', redirect_uri: 'r', code_challenge: 'x' }
    await insert(store, 'codes', { ...one, ...code })
    await insert(store, 'access_tokens', { ...one, ...granted, token_digest: 'd', user_id: 'u' })
    await insert(store, 'refresh_tokens', { ...one, token_digest: 'd', generation: 0 })
  }
  await fill()
  await assert.rejects(
    insert(store, 'codes', {
      tenant_id: 't',
      client_id: 'c',
      grant_id: 'nobody',
      expires_at: 9,
      code_digest: 'e',
      redirect_uri: 'r',
      code_challenge: 'x',
    }),
    'a row without its grant is refused',
  )
  await db.deleteFrom('access_tokens').execute()
  assert.deepEqual(await counts(), [1, 1, 1, 0, 1], 'a refresh token outlives its access token')
  await db.deleteFrom('users').execute()
  assert.deepEqual(await counts(), [1, 0, 0, 0, 0], 'the client outlives its maker')
  await db.deleteFrom('clients').execute()
  await fill()
  await db.deleteFrom('clients').execute()
  assert.deepEqual(await counts(), [0, 0, 0, 0, 0])
})

async function insert(
  { db }: Store,
  table: string,
  values: Readonly<Record<string, string | number>>,
): Promise<void> {
  const row = { created_at: 1, ...values }
  const names = Object.keys(row).map((name) => sql.ref(name))
  await sql`
    insert into ${sql.table(table)} (${sql.join(names)}) values (${sql.join(Object.values(row))})
  `.execute(db)
}

interface Column {
  readonly name: string
  readonly isNullable: boolean
}

async function columnsOf({ db, engine }: Store, table: string): Promise<readonly Column[]> {
  const { rows } = await (
    engine === 'sqlite'
      ? sql<{ name: string; nullable: number }>`
          select name, "notnull" = 0 as nullable from pragma_table_info(${table})`
      : sql<{ name: string; nullable: boolean }>`
          select column_name as name, is_nullable = 'YES' as nullable
          from information_schema.columns
          where table_schema = current_schema() and table_name = ${table}`
  ).execute(db)
  return rows.map(({ name, nullable }) => ({ name, isNullable: Boolean(nullable) }))
}

async function primaryKeyOf({ db, engine }: Store, table: string): Promise<readonly string[]> {
  const { rows } = await (
    engine === 'sqlite'
      ? sql<{ name: string }>`select name from pragma_table_info(${table}) where pk > 0 order by pk`
      : sql<{ name: string }>`
          select a.attname as name
          from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
          where i.indrelid = to_regclass(${table}) and i.indisprimary
          order by array_position(i.indkey::int[], a.attnum::int)`
  ).execute(db)
  return rows.map(({ name }) => name)
}

async function parentsOf({ db, engine }: Store, table: string) {
  const { rows } = await (
    engine === 'sqlite'
      ? sql<{ parent: string; rule: string }>`
          select "table" as parent, on_delete as rule
          from pragma_foreign_key_list(${table}) where seq = 0`
      : sql<{ parent: string; rule: string }>`
          select f.relname as parent, case c.confdeltype when 'c' then 'CASCADE' else '' end as rule
          from pg_constraint c join pg_class f on f.oid = c.confrelid
          where c.conrelid = to_regclass(${table}) and c.contype = 'f'`
  ).execute(db)
  return rows.map(({ parent, rule }) => ({ parent, cascades: rule === 'CASCADE' }))
}

/** The columns of each index, in order, joined by commas. */
async function indexesOf({ db, engine }: Store, table: string): Promise<readonly string[]> {
  if (engine === 'sqlite') {
    const { rows } = await sql<{ columns: string }>`
      select group_concat(info.name, ',') as columns
      from pragma_index_list(${table}) list, pragma_index_info(list.name) info
      group by list.name`.execute(db)
    return rows.map(({ columns }) => columns)
  }
  const { rows } = await sql<{ indexdef: string }>`
    select indexdef from pg_indexes
    where schemaname = current_schema() and tablename = ${table}`.execute(db)
  return rows.map(({ indexdef }) =>
    (/\((?<columns>[^)]*)\)/.exec(indexdef)?.groups?.['columns'] ?? '').replaceAll(' ', ''),
  )
}
