// `npm run faults [-- --only R-01] [-- --rounds N]`: every rig of this folder as often as the plan says, one after the
// other. Prints the table of the figures, and ends non-zero when one of them misses its line. `--write` puts it into
// docs/faults.md, where rows of rigs that did not run stay.
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { parseArgs } from 'node:util'
import { startPostgres } from '../postgres-server.ts'
import { makeTemplates } from '../templates.ts'
import { figuresVariable, roundsVariable } from './figures.ts'
import type { Figure } from './figures.ts'

const rigLimitMs = 30 * 60_000
const root = join(import.meta.dirname, '..', '..')
const page = join(root, 'docs', 'faults.md')
const mark = '<!-- what `npm run faults -- --write` measured last -->'

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    rounds: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
})
const { only, rounds, write } = values
const folder = mkdtempSync(join(tmpdir(), 'latchkey-faults-run-'))
const file = join(folder, 'figures.ndjson')

// Durable, because a database that loses what it confirmed would be the first fault.
const postgres = await startPostgres({ isDurable: true })
process.env[figuresVariable] = file
if (rounds !== undefined) process.env[roundsVariable] = rounds
if (postgres.kind !== 'none') process.env['LATCHKEY_TEST_DATABASE_URL'] = postgres.url
await makeTemplates(folder, postgres.kind === 'host' ? postgres.url : undefined)
const startedAt = performance.now()
const failed = await runRigs()
if (postgres.kind !== 'none') await postgres.stop()

const figures = readFigures()
rmSync(folder, { recursive: true, force: true })
console.log(`\n${formatTable(figures.map(formatRow))}`)
if (write) writeTable(figures)
process.exit(failed > 0 || figures.length === 0 ? 1 : 0)

async function runRigs(): Promise<number> {
  let failures = 0
  const pattern = only === undefined ? {} : { testNamePatterns: [new RegExp(`^${only}\\b`)] }
  const files = globSync(join(import.meta.dirname, '*.test.ts'))
    .filter((rig) => readFileSync(rig, 'utf8').includes(only ?? ''))
    .toSorted()
  const tests = run({ files, concurrency: 1, timeout: rigLimitMs, ...pattern })
  tests.on('test:fail', () => {
    failures += 1
  })
  const report = tests.compose(spec)
  report.pipe(process.stdout)
  await new Promise<void>((resolve) => report.on('end', () => resolve()))
  return failures
}

function readFigures(): readonly Figure[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').trim().split('\n')
  return lines
    .map((line) => JSON.parse(line) as Figure) // tell() writes them
    .toSorted((one, other) => one.id.localeCompare(other.id))
}

function formatRow({ id, what, measured, line, isKept }: Figure): string {
  return `| ${id} | ${what} | ${measured} | ${line} | ${isKept ? 'kept' : '**missed**'} |`
}

function formatTable(rows: readonly string[]): string {
  const [first] = cpus()
  const minutes = Math.ceil((performance.now() - startedAt) / 60_000)
  return [
    `${new Date().toISOString().slice(0, 10)} · ${first?.model.trim() ?? 'a processor'}, ${cpus().length} cores · Node ${process.version.slice(1)} · the last run took ${minutes} minutes`,
    '',
    '| | what | measured | line | |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n')
}

function writeTable(fresh: readonly Figure[]): void {
  const [words, before = ''] = readFileSync(page, 'utf8').split(mark)
  const ran = new Set(fresh.map(({ id }) => id))
  const kept = before
    .split('\n')
    .filter((row) => row.startsWith('| R-') && !ran.has(row.slice(2, 6)))
  const rows = [...kept, ...fresh.map(formatRow)].toSorted((one, other) =>
    one.slice(0, 6).localeCompare(other.slice(0, 6)),
  )
  writeFileSync(page, `${words}${mark}\n\n${formatTable(rows)}\n`)
}
