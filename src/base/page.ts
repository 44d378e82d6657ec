// Lists in pages: the cursor names the last row that was given, so that rows that come and go meanwhile shift nothing.
import { Fault } from './fault.ts'

export interface PageRequest {
  readonly cursor?: string
  readonly limit?: number
}

export interface Page<T> {
  readonly items: readonly T[]
  readonly nextCursor?: string
}

/** Where a page begins: after this row. */
export interface Position {
  readonly createdAt: number
  readonly id: string
}

/** Before the first row of a list that has the oldest first. */
export const beforeOldest: Position = { createdAt: -1, id: '' }
/** Before the first row of a list that has the newest first. */
export const beforeNewest: Position = { createdAt: Number.MAX_SAFE_INTEGER, id: '' }

/** How many rows a page holds when nobody asks, and when somebody asks for more. */
export const pageSizes = { usual: 50, most: 200 }

/** How many rows a page holds. */
export function limitOf({ limit }: PageRequest, { usual, most } = pageSizes): number {
  return Math.min(Math.max(1, limit ?? usual), most)
}

/** Reads a cursor; without one the list begins. Throws Fault('invalid_input') for one that is not ours. */
export function positionOf({ cursor }: PageRequest, beginning = beforeOldest): Position {
  if (cursor === undefined) return beginning
  const [, time, id] = /^(\d{1,15})\.([a-z]{2,3}_[a-z0-9_]{1,64})$/.exec(cursor) ?? []
  if (time !== undefined && id !== undefined) return { createdAt: Number(time), id }
  throw foreignCursor()
}

/** The refusal of a cursor that is not ours. */
export function foreignCursor(): Fault {
  return new Fault('invalid_input', {
    because: 'the cursor is not one of ours',
    detail: { cursor: 'Use a nextCursor that this call gave you.' },
  })
}

interface Row {
  readonly id: string
  readonly created_at: number
}

/** Makes a page of rows that were asked for with one more than the limit. */
export function pageOf<R extends Row, T>(
  rows: readonly R[],
  request: PageRequest,
  show: (row: R) => T,
): Page<T> {
  const { shown, next } = cutPage(rows, limitOf(request), cursorOf)
  return { items: shown.map(show), ...next }
}

/** The rows of a page out of those that were asked for with one more than the limit, and where the next page begins. */
export function cutPage<R>(
  rows: readonly R[],
  limit: number,
  cursorOf: (row: R) => string,
): { readonly shown: readonly R[]; readonly next: Pick<Page<R>, 'nextCursor'> } {
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  const hasMore = rows.length > limit && last !== undefined
  return { shown, next: hasMore ? { nextCursor: cursorOf(last) } : {} }
}

/** What positionOf reads. */
export function cursorOf({ created_at, id }: Row): string {
  return `${created_at}.${id}`
}
