// What is asked of a statement before any engine runs it: does it only read, and would both engines store its parameters
// alike?
import type { CompiledQuery } from 'kysely'

/** A value that both engines store alike. */
export type SqlValue = null | number | bigint | string | Uint8Array

/** Does this statement only read? Raw SQL counts as a read only when it begins with `select`. */
export function isRead({ query, sql }: CompiledQuery): boolean {
  if (query.kind === 'SelectQueryNode') return true
  return query.kind === 'RawNode' && /^\s*select\b/i.test(sql)
}

/** The parameters as both engines store them. Throws on a value that either would store as something else. */
export function toSqlValues(parameters: readonly unknown[]): readonly SqlValue[] {
  return parameters.map(toSqlValue)
}

// node:sqlite stores an object, a Date, undefined and NaN as NULL without a word; pg makes text of most of them.
function toSqlValue(value: unknown, index: number): SqlValue {
  if (value === null || typeof value === 'string' || typeof value === 'bigint') return value
  if (typeof value === 'number' && Number.isFinite(value)) return value
  if (typeof value === 'boolean') return value ? 1 : 0
  if (value instanceof Uint8Array) return value
  throw new Error(
    `parameter ${index + 1} is ${describe(value)}, which cannot be stored: ` +
      'give null, a finite number, a bigint, a string, a boolean or a Uint8Array',
  )
}

// Never the value itself: it may be a secret.
function describe(value: unknown): string {
  if (typeof value === 'number') return 'a number that is not finite'
  if (typeof value !== 'object' || value === null) return `of type ${typeof value}`
  return `an object (${value.constructor?.name ?? 'without a prototype'})`
}
