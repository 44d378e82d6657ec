// What steady queries (hot-query.ts) were answered, kept until one of the tables it was read from is written. No clock is
// asked and nothing is ever old: a write of our own is known at its commit, that of another process by the number that SQLite
// counts up for it, so what was revoked a moment ago, wherever, is revoked for the next who asks.
import type { CompiledQuery, QueryResult } from 'kysely'
import type { Tables } from './tables-of.ts'

/** How many answers are kept of one statement; then the oldest goes. */
const answersMax = 4_096

export interface Remembered {
  /** The answer that was kept, or else the one that `ask` gives. Its rows are shared, and frozen. */
  readonly answer: <R>(query: CompiledQuery, ask: () => QueryResult<R>) => QueryResult<R>
  /** Notes what the open group writes. */
  readonly note: (writes: Tables['writes']) => void
  /** To be called when a group has ended, before anybody else can ask: forgets what it may have changed. */
  readonly forgetNoted: () => void
}

interface Needs {
  /** What the statement is read from. */
  readonly readsOf: (sql: string) => ReadonlySet<string>
  /** A number that changes when another process has committed; undefined when that cannot be told now. */
  readonly foreignCommits: () => number | undefined
}

/** Makes the memory of one database. */
export function createRemembered({ readsOf, foreignCommits }: Needs): Remembered {
  const statements = new Map<string, Map<string, QueryResult<unknown>>>()
  const byTable = new Map<string, Set<Map<string, unknown>>>()
  const noted = new Set<string>()
  let notedEvery = false
  let foreign: number | undefined

  const forgetAll = () => {
    for (const answers of statements.values()) answers.clear()
  }
  const answersTo = (sql: string) => {
    const known = statements.get(sql)
    if (known !== undefined) return known
    const answers = new Map<string, QueryResult<unknown>>()
    statements.set(sql, answers)
    for (const table of readsOf(sql)) {
      byTable.set(table, (byTable.get(table) ?? new Set()).add(answers))
    }
    return answers
  }
  /** Forgets everything where another process wrote; false when that is not known. */
  const isCurrent = () => {
    const now = foreignCommits()
    if (now !== foreign) forgetAll()
    foreign = now
    return now !== undefined
  }

  return {
    answer: <R>(query: CompiledQuery, ask: () => QueryResult<R>) => {
      const key = keyOf(query.parameters)
      if (key === undefined || !isCurrent()) return ask()
      const answers = answersTo(query.sql)
      const known = answers.get(key) as QueryResult<R> | undefined // the same statement gives the same rows
      if (known !== undefined) return known
      const answer = frozen(ask())
      const [oldest] = answers.keys()
      if (answers.size >= answersMax && oldest !== undefined) answers.delete(oldest)
      answers.set(key, answer)
      return answer
    },
    note: (writes) => {
      if (writes === 'every') notedEvery = true
      else for (const table of writes) noted.add(table)
    },
    forgetNoted: () => {
      if (notedEvery) forgetAll()
      for (const table of noted) for (const answers of byTable.get(table) ?? []) answers.clear()
      noted.clear()
      notedEvery = false
    },
  }
}

/** A text for these parameters and no others; undefined when they are not all texts. */
function keyOf(parameters: readonly unknown[]): string | undefined {
  let key = ''
  for (const parameter of parameters) {
    if (typeof parameter !== 'string') return undefined
    key += `${parameter.length}:${parameter}`
  }
  return key
}

function frozen<R>(result: QueryResult<R>): QueryResult<R> {
  for (const row of result.rows) Object.freeze(row)
  Object.freeze(result.rows)
  return result
}
