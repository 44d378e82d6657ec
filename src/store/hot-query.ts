// A query that is asked for every request is built and compiled once; after that only its values are new. Building a
// query with Kysely costs several times what SQLite needs to answer it.
import type { Compilable, CompiledQuery, InferResult } from 'kysely'
import type { Database } from './database.ts'
import type { ReadWish } from './engine.ts'
import { wayApart } from './run-apart.ts'
import type { SqlValue } from './statement.ts'

/** What a hot query is given: values, and lists whose length is part of the query's shape. */
export type HotValues = Readonly<Record<string, SqlValue | readonly string[]>>

/**
 * Makes a query of a function that builds it from its values. The function is called once per database and shape, with
 * stand-ins: it must hand each value to the query as it is, and decide nothing by it. A number that is no value is written
 * out with `sql.lit()`.
 */
export function hotQuery<Values extends HotValues, Query extends Compilable>(
  build: (db: Database, values: Values) => Query,
): HotQuery<Values, InferResult<Query>> {
  return makeQuery(build, { isSteady: false })
}

/**
 * A hot read whose answer changes only with the tables it is read from, and so seldom that it is worth keeping until then:
 * where the engine can tell for certain. The rows are shared by all who ask, so they are frozen; what is made of a row can be
 * kept with it (`ofRow`). A value that is another one each time, such as the time, does not belong here.
 */
export function steadyQuery<Values extends HotValues, Query extends Compilable>(
  build: (db: Database, values: Values) => Query,
): HotQuery<Values, Readonly<InferResult<Query>>> {
  return makeQuery(build, { isSteady: true })
}

/** Makes something of a row of a steady query once, for as long as that row is kept. */
export function ofRow<Row extends object, Made>(make: (row: Row) => Made): (row: Row) => Made {
  const made = new WeakMap<Row, { readonly value: Made }>()
  return (row) => {
    const known = made.get(row)
    if (known !== undefined) return known.value
    const value = make(row)
    made.set(row, { value })
    return value
  }
}

type HotQuery<Values, Rows> = (db: Database, values: Values) => Promise<Rows>

function makeQuery<Values extends HotValues, Query extends Compilable>(
  build: (db: Database, values: Values) => Query,
  wish: ReadWish,
): HotQuery<Values, InferResult<Query>> {
  type Row = InferResult<Query>[number]
  const known = new WeakMap<object, Map<string, Compiled<Row>>>()

  return async (db, values) => {
    // Transactions have executors of their own, but one adapter with the database they belong to.
    const { adapter } = db.getExecutor()
    const shapes = known.get(adapter) ?? new Map<string, Compiled<Row>>()
    known.set(adapter, shapes)
    const shape = shapeOf(values)
    const compiled = shapes.get(shape) ?? compile<Row>(build(db, standIns(values)))
    shapes.set(shape, compiled)
    const parameters = compiled.sources.map((source) => source(values))
    const query = { ...compiled.query, parameters }
    const run = wayApart(db)
    const { rows } = await (run === undefined ? db.executeQuery<Row>(query) : run<Row>(query, wish))
    return rows as InferResult<Query> // what the query that was built gives
  }
}

interface Compiled<Row> {
  readonly query: CompiledQuery<Row>
  /** Where each parameter comes from, in the order of the statement. */
  readonly sources: readonly ((values: HotValues) => unknown)[]
}

/** The lengths of the lists. */
function shapeOf(values: HotValues): string {
  let shape = ''
  for (const name in values) {
    const value = values[name]
    if (Array.isArray(value)) shape += `${name}${value.length} `
  }
  return shape
}

const mark = '\0hot query'

/** The same values with a text instead of each that says where it belongs. */
function standIns<Values extends HotValues>(values: Values): Values {
  const entries = Object.entries(values).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.map((_, index) => `${mark}|${name}|${index}`) : `${mark}|${name}`,
  ])
  return Object.fromEntries(entries) as Values // only compile() below ever reads them
}

function compile<Row>(query: Compilable): Compiled<Row> {
  const compiled = query.compile() as CompiledQuery<Row> // the row type is the query's own
  return { query: compiled, sources: compiled.parameters.map(sourceOf) }
}

function sourceOf(parameter: unknown): (values: HotValues) => unknown {
  // SQLite plans a statement anew each time where a bound number decides whether an index of some rows only will do, or
  // how many are wanted, and that takes longer than to answer it. What never changes is part of the statement.
  if (typeof parameter === 'number') {
    throw new Error(`a hot query binds the constant ${parameter}: write it out with sql.lit()`)
  }
  if (typeof parameter !== 'string' || !parameter.startsWith(mark)) return () => parameter
  const [, name = '', index] = parameter.split('|')
  if (index === undefined) return (values) => values[name]
  return (values) => (values[name] as readonly string[])[Number(index)] // standIns made a list of it
}
