// SQLite through node:sqlite: one connection writes, in groups (group-commit.ts), and reads what is asked for between two
// groups, because it knows the pages that it wrote; another one reads meanwhile and never waits for it. Behaves like Postgres where they differ: a transaction in which a statement failed can only be rolled back.
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { AbortedTransactionError, SqliteIntrospector, SqliteQueryCompiler } from 'kysely'
import type {
  CompiledQuery,
  DatabaseConnection,
  Dialect,
  DialectAdapter,
  Driver,
  QueryResult,
} from 'kysely'
import type { Engine, RunApart } from './engine.ts'
import { createGroupCommit, isBusy, whenFree } from './group-commit.ts'
import type { GroupCommit, OnDurable, Sync } from './group-commit.ts'
import { createRemembered } from './remembered.ts'
import { isRead } from './statement.ts'
import type { SqlValue } from './statement.ts'
import { createPrepare } from './tables-of.ts'
import type { Prepared, Tables } from './tables-of.ts'
import { openWal } from './wal-sync.ts'

const readerBusyMs = 5_000
/** SQLite's own default, 2 MiB, is used up by a few thousand tokens. */
const writerCacheKib = 32_768
/** Each commit empties it, and the file is mapped. */
const readerCacheKib = 4_096
const mappedBytes = 268_435_456
const pagesUntilCheckpoint = 4_000
const statementsKeptMax = 256
const parametersKeptMax = 64

/** What tests watch or shorten. */
export interface SqliteOptions {
  readonly onDurable?: OnDurable
  /** Instead of the sync of the file. */
  readonly sync?: Sync
  readonly transactionLimitMs?: number
}

/** Opens, and makes if need be, a SQLite file; ':memory:' is a file that goes away when it is closed. */
export async function openSqlite(file: string, options: SqliteOptions = {}): Promise<Engine> {
  const { onDurable, transactionLimitMs = 10_000 } = options
  const place = file === ':memory:' ? makeTemporaryPlace() : { file, remove: () => {} }
  makePrivateFile(place.file)
  const writer = await openWriter(place.file)
  const reader = openReader(place.file)
  const log = openWal(place.file)
  const prepare = createPrepare(writer)
  const remembered = createRemembered({
    readsOf: (text) => prepare(text).tables.reads,
    foreignCommits: countForeignCommits(writer),
  })
  const group = createGroupCommit(writer, {
    sync: options.sync ?? log.sync,
    onDurable,
    onGroupEnd: remembered.forgetNoted,
  })
  const write = createRunner(prepare, remembered.note)
  const meanwhile = createRunner(createPrepare(reader))
  const read = createReading(writer, { atRest: write, meanwhile })
  const run: RunApart = async (query, wish) => {
    if (!isRead(query)) return group.write(() => write(query))
    return wish?.isSteady === true ? remembered.answer(query, () => read(query)) : read(query)
  }
  return {
    name: 'sqlite',
    dialect: sqliteDialect({ group, run, write, transactionLimitMs }),
    run,
    isRetryable: () => false,
    close: async () => {
      await group.close()
      log.close()
      reader.close()
      writer.close()
      place.remove()
    },
  }
}

function makeTemporaryPlace() {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-'))
  const remove = () => rmSync(folder, { recursive: true, force: true })
  return { file: join(folder, 'latchkey.db'), remove }
}

// SQLite gives its side files the rights of the main one.
function makePrivateFile(file: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  closeSync(openSync(file, 'a', 0o600))
}

async function openWriter(file: string): Promise<DatabaseSync> {
  // No time-out of SQLite's own: it would block the event loop; group-commit.ts waits without blocking.
  const writer = new DatabaseSync(file, { timeout: 0, enableForeignKeyConstraints: true })
  try {
    await whenFree(() => writer.exec('pragma journal_mode = wal'))
    // Less than full, because it is we who put each commit on disk, beside the event loop (wal-sync.ts).
    writer.exec('pragma synchronous = normal')
    writer.exec(`pragma cache_size = -${writerCacheKib}`)
    // Digests are random, so each write touches other pages; copying them back less often writes each of them less often.
    writer.exec(`pragma wal_autocheckpoint = ${pagesUntilCheckpoint}`)
    return writer
  } catch (error) {
    writer.close()
    throw error
  }
}

function openReader(file: string): DatabaseSync {
  const reader = new DatabaseSync(file, { readOnly: true, timeout: readerBusyMs })
  reader.exec(`pragma cache_size = -${readerCacheKib}`)
  reader.exec(`pragma mmap_size = ${mappedBytes}`)
  return reader
}

/** Runs statements on one connection. */
type Runner = <R>(query: CompiledQuery) => QueryResult<R>

interface Parts {
  readonly group: GroupCommit
  readonly run: RunApart
  readonly write: Runner
  readonly transactionLimitMs: number
}

interface Readers {
  readonly atRest: Runner
  readonly meanwhile: Runner
}

// What the writer wrote is in its cache; every commit empties the cache of any other connection.
function createReading(writer: DatabaseSync, { atRest, meanwhile }: Readers): Runner {
  return (query) => {
    if (writer.isTransaction) return meanwhile(query) // Nobody sees what is not on disk yet.
    try {
      return atRest(query)
    } catch (error) {
      if (isBusy(error)) return meanwhile(query) // It has a time-out, the writer has none.
      throw error
    }
  }
}

/** How often other connections have committed, as this one sees it; undefined when it cannot look now. */
function countForeignCommits(writer: DatabaseSync): () => number | undefined {
  const version = writer.prepare('pragma data_version')
  return () => {
    try {
      return Number(version.get()?.['data_version'])
    } catch (error) {
      if (isBusy(error)) return undefined
      throw error
    }
  }
}

interface Runnable extends Prepared {
  readonly givesRows: boolean
}

function createRunner(
  prepare: (sql: string) => Prepared,
  onWrite: (writes: Tables['writes']) => void = () => {},
): Runner {
  const kept = new Map<string, Runnable>()

  const find = ({ sql, parameters }: CompiledQuery): Runnable => {
    const known = kept.get(sql)
    if (known !== undefined) return known
    const made = prepare(sql)
    const prepared = { ...made, givesRows: made.statement.columns().length > 0 }
    // A list as long as its data would push out the statements that come again.
    if (parameters.length <= parametersKeptMax) keep(kept, sql, prepared)
    return prepared
  }

  return <R>(query: CompiledQuery) => {
    const { statement, givesRows, tables } = find(query)
    onWrite(tables.writes)
    const parameters = query.parameters as SqlValue[] // guard.ts has looked at each
    if (!givesRows) {
      return { rows: [], numAffectedRows: BigInt(statement.run(...parameters).changes) }
    }
    const rows = statement.all(...parameters).map((row) => plain(row) as R) // the query's own row type
    return isRead(query) ? { rows } : { rows, numAffectedRows: BigInt(rows.length) }
  }
}

/** Rows of node:sqlite have no prototype. To copy one column by column takes a fifth of what `Object.assign` takes. */
function plain(row: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const copy: Record<string, unknown> = {}
  for (const column of Object.keys(row)) copy[column] = row[column]
  return copy
}

function keep(kept: Map<string, Runnable>, sql: string, prepared: Runnable): void {
  kept.set(sql, prepared)
  const [oldest] = kept.keys()
  if (kept.size > statementsKeptMax && oldest !== undefined) kept.delete(oldest)
}

function sqliteDialect(parts: Parts): Dialect {
  return {
    createDriver: () => createDriver(parts),
    createQueryCompiler: () => new SqliteQueryCompiler(),
    createAdapter: () => adapter,
    createIntrospector: (db) => new SqliteIntrospector(db),
  }
}

// Many connections as Kysely sees it, so that it does not put its own mutex around them.
const adapter: DialectAdapter = {
  supportsMultipleConnections: true,
  supportsTransactionalDdl: true,
  supportsReturning: true,
  supportsCreateIfNotExists: true,
  acquireMigrationLock: refuseKyselyMigrations,
  releaseMigrationLock: refuseKyselyMigrations,
}

async function refuseKyselyMigrations(): Promise<void> {
  throw new Error('migrations are made by store/migrate.ts')
}

interface SqliteConnection extends DatabaseConnection {
  transaction: OpenTransaction | undefined
}

function createDriver(parts: Parts): Driver {
  return {
    init: async () => {},
    destroy: async () => {},
    acquireConnection: async () => createConnection(parts),
    releaseConnection: async () => {},
    beginTransaction: async (connection) => {
      ours(connection).transaction = await beginTransaction(parts)
    },
    commitTransaction: async (connection) => ours(connection).transaction?.commit(),
    rollbackTransaction: async (connection) => ours(connection).transaction?.rollback(),
  }
}

function ours(connection: DatabaseConnection): SqliteConnection {
  return connection as SqliteConnection // Kysely hands back what acquireConnection made.
}

function createConnection({ run }: Parts): SqliteConnection {
  const connection: SqliteConnection = {
    transaction: undefined,
    executeQuery: async <R>(query: CompiledQuery): Promise<QueryResult<R>> => {
      if (connection.transaction !== undefined) return connection.transaction.run<R>(query)
      return run<R>(query)
    },
    streamQuery: () => {
      throw new Error('the store does not stream rows: read them in bounded pages')
    },
  }
  return connection
}

interface OpenTransaction {
  readonly run: Runner
  readonly commit: () => Promise<void>
  readonly rollback: () => Promise<void>
}

async function beginTransaction({
  group,
  write,
  transactionLimitMs,
}: Parts): Promise<OpenTransaction> {
  const begun = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<void>()
  const outcome = group.write(() => {
    begun.resolve()
    return ended.promise
  })
  outcome.catch(() => {}) // commit and rollback below hear of it; without either it is the time limit's.
  await Promise.race([begun.promise, outcome])
  return openTransaction({ write, outcome, ended, transactionLimitMs })
}

interface TransactionParts {
  readonly write: Runner
  readonly outcome: Promise<void>
  readonly ended: PromiseWithResolvers<void>
  readonly transactionLimitMs: number
}

function openTransaction(parts: TransactionParts): OpenTransaction {
  const { write, outcome, ended, transactionLimitMs } = parts
  let isOpen = true
  let failure: { readonly cause: unknown } | undefined

  const end = (reason?: Error) => {
    isOpen = false
    clearTimeout(timer)
    if (reason === undefined) ended.resolve()
    else ended.reject(reason)
  }
  // One that never ends would hold up every other write.
  const timer = setTimeout(() => end(tookTooLong(transactionLimitMs)), transactionLimitMs)

  return {
    run: <R>(query: CompiledQuery) => {
      if (!isOpen) throw new Error('this transaction is over')
      if (failure !== undefined) throw new Error('a statement of this transaction failed', failure)
      try {
        return write<R>(query)
      } catch (error) {
        failure = { cause: error }
        throw error
      }
    },
    commit: async () => {
      if (isOpen && failure !== undefined) {
        end(new Error('a statement of this transaction failed'))
        throw new AbortedTransactionError(failure)
      }
      if (isOpen) end()
      await outcome
    },
    rollback: async () => {
      if (!isOpen) return
      end(new Error('rolled back'))
      await outcome.catch(() => {}) // rejects with the line above
    },
  }
}

function tookTooLong(limitMs: number): Error {
  return new Error(`a transaction was undone because it took more than ${limitMs} ms`)
}
