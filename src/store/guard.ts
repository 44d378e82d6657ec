// What both engines get around their Kysely driver: checked parameters, another try where the engine asks for one, and
// an error at once where `db` is used for a write inside a transaction, which would wait for itself forever.
import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type {
  AbortableOperationOptions,
  CompiledQuery,
  DatabaseConnection,
  Dialect,
  Driver,
  Kysely,
  QueryResult,
} from 'kysely'
import type { Engine, RunApart } from './engine.ts'
import { isRead, toSqlValues } from './statement.ts'

const triesMax = 6
const retryPauseMs = 8

/** Knows whether the code that runs now runs inside a transaction of this database. */
export interface TransactionScope {
  readonly run: <T>(work: () => Promise<T>) => Promise<T>
  /** Throws when a transaction is open around the caller. */
  readonly refuseInside: (what: string) => void
}

/** Makes the scope of one database. */
export function createTransactionScope(): TransactionScope {
  const storage = new AsyncLocalStorage<{ isOpen: boolean }>()
  return {
    run: async (work) => {
      // Work that outlives the transaction keeps this object as its context, so it must learn of the end.
      const transaction = { isOpen: true }
      try {
        return await storage.run(transaction, work)
      } finally {
        transaction.isOpen = false
      }
    },
    refuseInside: (what) => {
      if (storage.getStore()?.isOpen !== true) return
      throw new Error(`${what} inside a transaction: use the transaction that was handed to you`)
    },
  }
}

/** The engine's dialect with the guard around its connections. */
export function guardedDialect(engine: Engine, scope: TransactionScope): Dialect {
  const { dialect } = engine
  return {
    createDriver: () => guardedDriver(dialect.createDriver(), engine, scope),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createAdapter: () => dialect.createAdapter(),
    createIntrospector: (db) => dialect.createIntrospector(db),
  }
}

/** Makes `db.transaction()` run its work inside the scope, and again when the engine asks for it. */
export function guardTransactions<S>(db: Kysely<S>, engine: Engine, scope: TransactionScope): void {
  const begin = db.transaction.bind(db)
  db.transaction = () => {
    const builder = begin()
    const execute = builder.execute.bind(builder)
    builder.execute = async (work) => {
      scope.refuseInside('db.transaction() was called')
      return retrying(engine, () => execute((tx) => scope.run(() => work(tx))))
    }
    return builder
  }
}

// A serialization failure or deadlock has changed nothing, so the whole work may be done again.
async function retrying<T>(
  engine: Pick<Engine, 'isRetryable'>,
  work: () => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work()
    } catch (error) {
      if (tries === triesMax || !engine.isRetryable(error)) throw error
    }
    await sleep(retryPauseMs * tries)
  }
}

/** The engine's own way for a single statement, guarded likewise; undefined where it has none. */
export function guardedRun(
  { run, ...engine }: Engine,
  scope: TransactionScope,
): RunApart | undefined {
  if (run === undefined) return undefined
  return async (query, wish) => {
    const checked = withSqlValues(query)
    if (!isRead(query)) scope.refuseInside('db was used for a write')
    return retrying(engine, () => run(checked, wish))
  }
}

function withSqlValues(query: CompiledQuery): CompiledQuery {
  return { ...query, parameters: toSqlValues(query.parameters) }
}

interface GuardedConnection extends DatabaseConnection {
  readonly inner: DatabaseConnection
  isInTransaction: boolean
}

function guardedDriver(driver: Driver, engine: Engine, scope: TransactionScope): Driver {
  return {
    init: (options) => driver.init(options),
    destroy: (options) => driver.destroy(options),
    acquireConnection: async (options) =>
      guardedConnection(await driver.acquireConnection(options), engine, scope),
    releaseConnection: (connection, options) =>
      driver.releaseConnection(guarded(connection).inner, options),
    beginTransaction: async (connection, settings) => {
      await driver.beginTransaction(guarded(connection).inner, settings)
      guarded(connection).isInTransaction = true
    },
    commitTransaction: (connection) => driver.commitTransaction(guarded(connection).inner),
    rollbackTransaction: (connection) => driver.rollbackTransaction(guarded(connection).inner),
  }
}

function guarded(connection: DatabaseConnection): GuardedConnection {
  return connection as GuardedConnection // Kysely hands back what acquireConnection made.
}

function guardedConnection(
  inner: DatabaseConnection,
  engine: Engine,
  scope: TransactionScope,
): GuardedConnection {
  const connection: GuardedConnection = {
    inner,
    isInTransaction: false,
    executeQuery: async <R>(query: CompiledQuery, options?: AbortableOperationOptions) => {
      const checked = withSqlValues(query)
      const run = (): Promise<QueryResult<R>> => inner.executeQuery<R>(checked, options)
      if (connection.isInTransaction) return run()
      if (!isRead(query)) scope.refuseInside('db was used for a write')
      return retrying(engine, run)
    },
    streamQuery: (query, chunkSize, options) => inner.streamQuery(query, chunkSize, options),
  }
  return connection
}
