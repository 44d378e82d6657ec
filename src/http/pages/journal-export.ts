// What was found in the journal as a file: a table, or JSON. It is sent as it is read, so that its length costs no memory.
import type { SealedEntry } from '../../journal/entries.ts'
import type { JournalAsked, SearchJournal } from '../../journal/search.ts'
import { words } from './words.ts'

/** The shapes of the file. */
export const exportFormats = {
  csv: { type: 'text/csv; charset=utf-8', name: 'journal.csv' },
  ndjson: { type: 'application/x-ndjson', name: 'journal.ndjson' },
} as const
export type ExportFormat = keyof typeof exportFormats

interface Wish {
  readonly searchJournal: SearchJournal
  readonly tenantId: string
  readonly asked: JournalAsked
  readonly format: ExportFormat
}

const entriesAtOnce = 200
/** A file ends after so many; its last line says where the next one goes on. */
const entriesMax = 500_000
/** Where little is found, a file ends after so many questions. */
const questionsMax = 5_000

/** The file in pieces. */
export async function* exportTexts(
  { searchJournal, tenantId, asked, format }: Wish,
  { most = entriesMax }: { readonly most?: number } = {},
): AsyncGenerator<string, void> {
  const line = lines[format]
  let cursor: string | undefined
  let told = 0
  if (format === 'csv') yield csvLine(columns)
  for (let questions = 0; questions < questionsMax && told < most; questions += 1) {
    const page = { limit: entriesAtOnce, ...(cursor === undefined ? {} : { cursor }) }
    const { items, nextCursor } = await searchJournal(tenantId, asked, page)
    told += items.length
    yield items.map(line.entry).join('')
    if (nextCursor === undefined) return
    cursor = nextCursor
  }
  const [at = ''] = cursor?.split('.', 1) ?? []
  yield line.end(`${words.journal.exportEnds} ${timeOf(Number(at))}`)
}

const lines: Readonly<
  Record<
    ExportFormat,
    { readonly entry: (entry: SealedEntry) => string; readonly end: (note: string) => string }
  >
> = {
  csv: { entry: (entry) => csvLine(cellsOf(entry)), end: (note) => csvLine([note]) },
  ndjson: {
    entry: ({ tenantId: _everyReaderKnows, at, ...entry }) =>
      `${JSON.stringify({ ...entry, at: timeOf(at) })}\n`,
    end: (note) => `${JSON.stringify({ note })}\n`,
  },
}

const columns = [
  'seq',
  'time',
  'type',
  'what',
  'actor_kind',
  'actor',
  'person',
  'subject_kind',
  'subject',
  'attempt',
  'facts',
]

function cellsOf({ seq, at, type, actor, userId, subject, attempt, data }: SealedEntry) {
  return [
    `${seq}`,
    timeOf(at),
    type,
    words.journal.entries[type],
    actor.kind,
    actor.id ?? '',
    userId ?? '',
    subject?.kind ?? '',
    subject?.id ?? '',
    attempt ?? '',
    JSON.stringify(data),
  ]
}

function timeOf(at: number): string {
  return new Date(at).toISOString()
}

/** RFC 4180 §2. */
function csvLine(cells: readonly string[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`
}

// A table program runs a cell that begins like this as a formula; behind an apostrophe it is a text.
const beginsLikeFormula = /^[=+\-@\t\r\n]/

/** A cell that is a text whatever is in it. */
export function csvCell(text: string): string {
  const harmless = beginsLikeFormula.test(text) ? `'${text}` : text
  return `"${harmless.replaceAll('"', '""')}"`
}
