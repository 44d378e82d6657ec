// Postgres, and what speaks like it, through `pg`: parametrised statements are prepared once per connection under a name,
// 64-bit integers are numbers as they are on SQLite.
import { createHash } from 'node:crypto'
import { PostgresDialect } from 'kysely'
import type { CompiledQuery, PostgresPoolClient, QueryResult } from 'kysely'
import { Pool, types } from 'pg'
import type { PoolClient } from 'pg'
import type { Engine, RunApart } from './engine.ts'

const connectionsMax = 16
const connectLimitMs = 10_000
const statementLimitMs = 60_000
const namedStatementsMax = 500
const namedParametersMax = 64
const int8 = 20
const numeric = 1700

/** Where a Postgres database is; `schema` is where its tables are looked for and made, the server's default if absent. */
export interface PostgresPlace {
  readonly url: string
  readonly schema?: string
}

/** Opens a pool of connections; throws when the server does not answer. */
export async function openPostgres(place: PostgresPlace): Promise<Engine> {
  const pool = createPool(place)
  const names = createStatementNames()
  try {
    await pool.query('select 1')
  } catch (error) {
    await pool.end()
    throw error
  }
  const connect = async () => withNames(await pool.connect(), names)
  const end = async () => {} // Kysely ends a pool only if it was used; close() below always does.
  return {
    name: 'postgres',
    dialect: new PostgresDialect({ pool: { connect, end, options: pool.options } }),
    run: runOn(connect),
    isRetryable,
    close: () => pool.end(),
  }
}

function runOn(connect: () => Promise<PostgresPoolClient>): RunApart {
  return async <R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> => {
    const client = await connect()
    try {
      const { rows } = await client.query<R>(sql, parameters)
      return { rows }
    } finally {
      client.release()
    }
  }
}

function createPool({ url, schema }: PostgresPlace): Pool {
  const pool = new Pool({
    connectionString: url,
    max: connectionsMax,
    connectionTimeoutMillis: connectLimitMs,
    query_timeout: statementLimitMs,
    types: { getTypeParser },
    ...(schema === undefined ? {} : { options: `-c search_path=${checkedSchema(schema)}` }),
  })
  // A connection that breaks while nobody uses it is replaced; one that breaks in use fails its statement. Without a
  // listener either would end the process.
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}

function checkedSchema(schema: string): string {
  if (/^[a-z_][a-z0-9_]{0,62}$/.test(schema)) return schema
  throw new Error('the name of a schema is lower case letters, digits and _')
}

const getTypeParser: typeof types.getTypeParser = (oid: number, format?: 'text' | 'binary') => {
  if (oid === int8 || oid === numeric) return Number
  return types.getTypeParser(oid, format)
}

interface StatementNames {
  /** The name under which this statement is prepared; undefined for one that is not worth keeping. */
  readonly of: (sql: string, parameters: readonly unknown[]) => string | undefined
  /** After a change of a table its old plans are refused for good: every statement gets another name. */
  readonly renew: () => void
}

// A connection never forgets a prepared statement, so there are only so many names.
function createStatementNames(): StatementNames {
  const names = new Map<string, string>()
  let generation = 0
  return {
    of: (sql, parameters) => {
      if (parameters.length === 0 || parameters.length > namedParametersMax) return undefined
      const known = names.get(sql)
      if (known !== undefined || names.size >= namedStatementsMax) return known
      const name = `lk${generation}_${createHash('sha256').update(sql).digest('hex').slice(0, 32)}`
      names.set(sql, name)
      return name
    },
    renew: () => {
      generation += 1
      names.clear()
    },
  }
}

function withNames(client: PoolClient, names: StatementNames): PostgresPoolClient {
  const query: unknown = async (text: string, parameters: readonly unknown[]) => {
    const name = names.of(text, parameters)
    const values = [...parameters]
    try {
      return await client.query(name === undefined ? { text, values } : { name, text, values })
    } catch (error) {
      if (isStalePlan(error)) names.renew()
      throw error
    }
  }
  return {
    query: query as PostgresPoolClient['query'], // cursors, its other form, are not used
    release: (destroy) => client.release(destroy),
  }
}

function isRetryable(error: unknown): boolean {
  const code = codeOf(error)
  const isSerializationFailure = code === '40001'
  const isDeadlock = code === '40P01'
  return isSerializationFailure || isDeadlock || isStalePlan(error)
}

function isStalePlan(error: unknown): boolean {
  const isNotSupported = codeOf(error) === '0A000'
  return isNotSupported && error instanceof Error && error.message.includes('cached plan')
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
