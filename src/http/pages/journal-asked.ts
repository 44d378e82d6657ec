// What the search of the journal asks for, as its form sends it and as links repeat it.
import type { EntryType } from '../../journal/entries.ts'
import type { JournalAsked } from '../../journal/search.ts'
import { words } from './words.ts'

/** The fields of the form as they were sent. */
export interface AskedFields {
  readonly kind: string
  readonly person: string
  readonly thing: string
  readonly from: string
  readonly until: string
}

/** What is looked for, or what is wrong with it. */
export type Asked =
  | { readonly kind: 'asked'; readonly asked: JournalAsked }
  | { readonly kind: 'wrong'; readonly problem: string }

/** All kinds of entries. */
export const entryTypes = Object.keys(words.journal.entries) as EntryType[] // its keys are all of them

const dayMs = 86_400_000
// Longer than the longest id there is, which is a URL.
const textCharsMax = 2_048
const { problems } = words.journal

/** The fields in a query, without what stands around them. */
export function fieldsIn(query: URLSearchParams): AskedFields {
  const field = (name: string) => (query.get(name) ?? '').trim()
  return {
    kind: field('kind'),
    person: field('person'),
    thing: field('thing'),
    from: field('from'),
    until: field('until'),
  }
}

/** The same fields as a query; what is empty stays out. */
export function queryOf(fields: Partial<AskedFields>): URLSearchParams {
  return new URLSearchParams(Object.entries(fields).filter(([, value]) => value !== ''))
}

/** What the fields ask for. */
export function askedIn({ kind, person, thing, from, until }: AskedFields): Asked {
  const types = typesOf(kind)
  const [first, last] = [dayOf(from), dayOf(until)]
  if (types === 'none') return { kind: 'wrong', problem: problems.kind }
  if (![person, thing].every(isText)) return { kind: 'wrong', problem: problems.text }
  if (first === 'none' || last === 'none') return { kind: 'wrong', problem: problems.day }
  if (first !== undefined && last !== undefined && first > last) {
    return { kind: 'wrong', problem: problems.range }
  }
  return {
    kind: 'asked',
    asked: {
      types,
      person: person === '' ? undefined : person,
      thing: thing === '' ? undefined : thing,
      from: first,
      until: last === undefined ? undefined : last + dayMs,
    },
  }
}

/** One kind, or all of a group that is named by what its kinds begin with. */
function typesOf(kind: string): readonly EntryType[] | undefined | 'none' {
  if (kind === '') return undefined
  const types = entryTypes.filter((type) => type === kind || groupOf(type) === kind)
  return types.length === 0 ? 'none' : types
}

/** What a kind is about. */
export function groupOf(type: EntryType): string {
  return type.slice(0, type.indexOf('.'))
}

// Postgres refuses a NUL, and nothing that is looked for has a control character.
function isText(text: string): boolean {
  return text.length <= textCharsMax && text.isWellFormed() && !/\p{Cc}/u.test(text)
}

function dayOf(text: string): number | undefined | 'none' {
  if (text === '') return undefined
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return 'none'
  const at = Date.parse(`${text}T00:00:00Z`)
  // A 31st of February would be a day in March.
  const isDay = Number.isFinite(at) && new Date(at).toISOString().startsWith(text)
  return isDay ? at : 'none'
}
