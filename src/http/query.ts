// The parameters that rows of REST take in their query, and how a row gets to see the ones that it says and no others.
import { pageSizes } from '../base/page.ts'
import type { QueryParameter, Route } from './route.ts'

const cursor: QueryParameter = {
  name: 'cursor',
  words: 'The `nextCursor` of the page before.',
  schema: { type: 'string' },
}

/** The parameters of a list that comes in pages. */
export function pageQuery({ usual, most } = pageSizes): readonly QueryParameter[] {
  const schema = { type: 'integer', minimum: 1, maximum: most, default: usual }
  return [cursor, { name: 'limit', words: 'How many a page holds at most.', schema }]
}

/** What of a query its row gets to see: for REST what the row says, elsewhere all. */
export function queryFor(
  { surface, query = [] }: Pick<Route, 'surface' | 'query'>,
  given: URLSearchParams,
): URLSearchParams {
  if (surface !== 'api') return given
  const names = new Set(query.map(({ name }) => name))
  return new URLSearchParams([...given].filter(([name]) => names.has(name)))
}
