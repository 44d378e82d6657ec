// Lists in pages: the cursor names the last row that was given, so that rows that come and go meanwhile shift nothing.
import { Fault } from '../base/fault.ts'

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

const limitDefault = 50
const limitMax = 200

export function limitOf({ limit = limitDefault }: PageRequest): number {
  return Math.min(Math.max(1, limit), limitMax)
}

/** Reads a cursor. Throws Fault('invalid_input') for one that is not ours. */
export function positionOf({ cursor }: PageRequest): Position {
  if (cursor === undefined) return { createdAt: -1, id: '' }
  const [, time, id] = /^(\d{1,15})\.([a-z0-9_]{1,64})$/.exec(cursor) ?? []
  if (time !== undefined && id !== undefined) return { createdAt: Number(time), id }
  throw new Fault('invalid_input', {
    because: 'the cursor is not one of ours',
    detail: { cursor: 'Use a nextCursor that this call gave you.' },
  })
}

/** Makes a page of rows that were asked for with one more than the limit. */
export function pageOf<R extends { readonly id: string; readonly created_at: number }, T>(
  rows: readonly R[],
  request: PageRequest,
  show: (row: R) => T,
): Page<T> {
  const limit = limitOf(request)
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  const hasMore = rows.length > limit && last !== undefined
  return {
    items: shown.map(show),
    ...(hasMore ? { nextCursor: `${last.created_at}.${last.id}` } : {}),
  }
}
