// Which page of a list a request asks for.
import { pageSizes } from '../base/page.ts'
import type { PageRequest } from '../base/page.ts'

/** The cursor and size that a call asks for; a size that is none is the usual one. */
export function pageRequestOf(query: URLSearchParams): PageRequest & { readonly limit: number } {
  const limit = Number(query.get('limit') ?? pageSizes.usual)
  const cursor = query.get('cursor')
  return {
    limit: Number.isInteger(limit) && limit > 0 ? Math.min(limit, pageSizes.most) : pageSizes.usual,
    ...(cursor === null ? {} : { cursor }),
  }
}
