// Runs every test under one Postgres, then proves what can only be seen at the end of a run: that every promised
// requirement was proved, and that no secret of the run leaked. Ends with the runner's own summary.
import { globSync, mkdirSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { startPostgres } from '../test/postgres-server.ts'
import { makeTemplates } from '../test/templates.ts'

const testTimeoutMs = 180_000
const filesAtOnce = 3
const root = join(import.meta.dirname, '..')
const runFolder = join(root, '.test-run')
const patterns = process.argv.slice(2)
const isWholeRun = patterns.length === 0
const files = globSync(isWholeRun ? ['src/**/*.test.ts', 'test/**/*.test.ts'] : patterns)
// These read what the others left behind, so they run after them.
const lastFiles = files.filter((file) => file.includes('after-the-run'))
const firstFiles = files.filter((file) => !lastFiles.includes(file))

rmSync(runFolder, { recursive: true, force: true })
mkdirSync(runFolder, { recursive: true })
const postgres = await startPostgres()
process.env['LATCHKEY_TEST_RUN'] = runFolder
// Each file is a process of its own, and would strip and compile the same few hundred sources again.
process.env['NODE_COMPILE_CACHE'] ??= join(root, 'node_modules', '.cache', 'compiled')
process.env['LATCHKEY_TEST_REPORT'] = join(runFolder, 'verified.ndjson')
process.env['LATCHKEY_TEST_WHOLE_RUN'] = isWholeRun ? '1' : ''
if (postgres.kind !== 'none') process.env['LATCHKEY_TEST_DATABASE_URL'] = postgres.url
await makeTemplates(runFolder, postgres.kind === 'host' ? postgres.url : undefined)
console.log(
  postgres.kind === 'none'
    ? `Postgres cannot run here: ${postgres.because}`
    : `Postgres for the tests: ${postgres.kind}`,
)

const outcome = { failed: 0, skipped: [] as string[] }
const seconds = new Map<string, number>()
await runFiles(firstFiles, filesAtOnce)
// One after the other: what the first of them proves, the last one counts.
if (isWholeRun && lastFiles.length > 0) await runFiles(lastFiles.toSorted(), 1)
if (postgres.kind !== 'none') await postgres.stop()
console.log(`the slowest files, in seconds: ${slowest(10)}`)
for (const name of outcome.skipped) console.log(`skipped: ${name}`)
// A skipped test is not a passed one; on a full machine nothing may be skipped.
const isRefusedSkip = process.env['CI'] !== undefined && outcome.skipped.length > 0
process.exit(outcome.failed > 0 || isRefusedSkip ? 1 : 0)

function runFiles(chosen: readonly string[], concurrency: number): Promise<void> {
  const tests = run({ files: [...chosen], concurrency, timeout: testTimeoutMs })
  tests.on('test:fail', () => {
    outcome.failed += 1
  })
  tests.on('test:pass', ({ name, skip }) => {
    if (skip !== undefined && skip !== false) outcome.skipped.push(`${name} (${skip})`)
  })
  tests.on('test:summary', ({ file, duration_ms: tookMs }) => {
    if (file !== undefined) seconds.set(relative(root, file), Math.round(tookMs / 1000))
  })
  const report = tests.compose(spec)
  report.pipe(process.stdout)
  return new Promise((resolve) => report.on('end', () => resolve()))
}

function slowest(count: number): string {
  const files = [...seconds].toSorted(([, one], [, other]) => other - one).slice(0, count)
  return files.map(([file, took]) => `${file} ${took}`).join(', ')
}
