// Which page of a list a request asks for.
import type { PageRequest } from '../base/page.ts'

/** The cursor and size that a call asks for; without a size, or with one that is none, the list has its usual one. */
export function pageRequestOf(query: URLSearchParams): PageRequest {
  const limit = Number(query.get('limit'))
  const cursor = query.get('cursor')
  return {
    ...(Number.isInteger(limit) && limit > 0 ? { limit } : {}),
    ...(cursor === null ? {} : { cursor }),
  }
}
