// What a platform under test said and kept, written down for the leak search at the end of the run: every log line, every
// answer at its port, its whole database, and the secrets that others issued to it.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { sql } from 'kysely'
import type { Store } from '../src/store/database.ts'
import { templateFile } from './templates.ts'

/** One answer of the product. */
export interface RecordedAnswer {
  readonly method: string
  readonly path: string
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

export interface Recorder {
  readonly writeLog: (line: string) => void
  /** Secrets that somebody else issued to the platform: these must not show up either. */
  readonly alsoSecret: (secrets: readonly string[]) => void
  /** Writes the database down and stops listening. */
  readonly finish: () => Promise<void>
}

const runFolder = process.env['LATCHKEY_TEST_RUN']
const requestChannel = 'http.server.request.start'

/** The files of one run; undefined when a test file runs alone. */
export function recordFile(name: 'log' | 'answers' | 'database' | 'secrets'): string | undefined {
  return runFolder === undefined ? undefined : join(runFolder, `${name}.txt`)
}

/** Begins to write down what the platform at this port says and keeps. */
export function startRecorder(port: number, store: Store): Recorder {
  const onRequest = (message: unknown) => {
    const { request, response } = message as { request: IncomingMessage; response: ServerResponse } // Node's channel
    if (request.socket.localPort === port) recordAnswer(request, response)
  }
  subscribe(requestChannel, onRequest)
  return {
    writeLog: (line) => write('log', line.trimEnd()),
    alsoSecret: (secrets) => {
      for (const secret of secrets) write('secrets', secret)
    },
    finish: async () => {
      unsubscribe(requestChannel, onRequest)
      if (runFolder !== undefined) await recordDatabase(store)
    },
  }
}

function recordAnswer(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = []
  const keep = (chunk: unknown) => {
    if (typeof chunk === 'string' || chunk instanceof Uint8Array)
      chunks.push(Buffer.from(chunk as string)) // both make a Buffer
  }
  const writeOn = response.write.bind(response)
  const end = response.end.bind(response)
  response.write = ((...given: Parameters<typeof writeOn>) => {
    keep(given[0])
    return writeOn(...given)
  }) as typeof writeOn // the same overloads as the one it stands before
  response.end = ((...given: Parameters<typeof end>) => {
    keep(given[0])
    return end(...given)
  }) as typeof end // likewise
  // The app's listener gives its headers to writeHead, which getHeaders() does not see.
  let written: Record<string, unknown> = {}
  const writeHead = response.writeHead.bind(response)
  response.writeHead = ((...given: Parameters<typeof writeHead>) => {
    written = Object.assign({}, ...given.filter((part) => typeof part === 'object'))
    return writeHead(...given)
  }) as typeof writeHead // likewise
  response.on('close', () => {
    const answer: RecordedAnswer = {
      method: request.method ?? '',
      path: (request.url ?? '').split('?')[0] ?? '',
      status: response.statusCode,
      headers: { ...response.getHeaders(), ...written },
      body: Buffer.concat(chunks).toString('utf8'),
    }
    write('answers', JSON.stringify(answer))
  })
}

async function recordDatabase(store: Store): Promise<void> {
  const query =
    store.engine === 'sqlite'
      ? sql<{ name: string }>`select name from sqlite_master where type = 'table'`
      : sql<{
          name: string
        }>`select table_name as name from information_schema.tables where table_schema = current_schema()`
  const tables = await query.execute(store.db)
  for (const { name } of tables.rows) {
    const { rows } = await sql`select * from ${sql.id(name)}`.execute(store.db)
    for (const row of rows) write('database', `${name} ${JSON.stringify(row)}`)
  }
  if (store.engine === 'sqlite') await recordFiles(store)
}

/** The raw files too: a row that was deleted or overwritten may still stand in a free page or in the log. */
async function recordFiles(store: Store): Promise<void> {
  const { rows } = await sql<{ file: string }>`select file from pragma_database_list`.execute(
    store.db,
  )
  for (const { file } of rows) {
    for (const path of [file, `${file}-wal`]) {
      if (file === '' || !existsSync(path)) continue
      const pages = pagesOf(path).filter((page) => !emptyPages().has(page))
      write('database', pages.join(''))
    }
  }
}

const pageBytes = 4096

function pagesOf(path: string): readonly string[] {
  const text = readFileSync(path, 'latin1')
  const count = Math.ceil(text.length / pageBytes)
  return Array.from({ length: count }, (_, at) => text.slice(at * pageBytes, (at + 1) * pageBytes))
}

let known: ReadonlySet<string> | undefined

/** The pages that every database of the run begins with: a thousand copies of them would be all that is searched. */
function emptyPages(): ReadonlySet<string> {
  const template = templateFile()
  known ??= new Set(template === undefined ? [] : pagesOf(template))
  return known
}

function write(name: Parameters<typeof recordFile>[0], text: string): void {
  const file = recordFile(name)
  if (file !== undefined) appendFileSync(file, `${text}\n`)
}
