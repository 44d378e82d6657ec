// `npm run conformance`: the official MCP conformance suite against one real Latchkey. As an authorization server it is
// asked directly; as a client it signs in for a driver, once in each revision of MCP, and in the suites that no revision
// requires as a whole; as a gateway it stands before reference servers, and has to give what one of them gives directly.
// Prints a table for each run and ends non-zero when a scored scenario failed, one of a suite warned, or one went otherwise
// through the gateway. What the suite and Latchkey said stays in `.test-run/conformance`. `npm run conformance -- server`
// plays only the runs whose title begins so.
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { runAuthorization } from './authorization.ts'
import { environmentOf } from './connection.ts'
import type { Access } from './connection.ts'
import { startLatchkey } from './latchkey.ts'
import { runAcross, runServer } from './server.ts'
import { readDrivenResult, readSuite, requiredScenarios, runSuite } from './suite.ts'
import type { ScenarioResult } from './suite.ts'

const resultsFolder = join(import.meta.dirname, '..', '..', '.test-run', 'conformance')
const revisions = ['2025-11-25', '2026-07-28']
const suites = ['auth', 'extensions', 'backcompat']
// The suite starts all scenarios of a revision at once, also on a small machine.
const scenarioMaxMs = 120_000

const stopping = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => stopping.abort(new Error(`stopped by ${name}`)))
}

rmSync(resultsFolder, { recursive: true, force: true })
mkdirSync(resultsFolder, { recursive: true })
const latchkey = await startLatchkey(resultsFolder)
try {
  const failed = await runAll(latchkey.access)
  process.exitCode = failed === 0 ? 0 : 1
} finally {
  await latchkey.stop()
}

async function runAll(access: Access): Promise<number> {
  const { signal } = stopping
  const runs: readonly Run[] = [
    ['authorization', (folder) => runAuthorization(access.origin, folder, signal)],
    ...revisions.map((revision): Run => {
      const set = ['--requirements', revision]
      return [`client ${revision}`, (folder) => runClient({ access, set, folder }, revision)]
    }),
    ...revisions.map((revision): Run => {
      const { origin } = access
      return [`server ${revision}`, (folder) => runServer({ origin, revision, folder, signal })]
    }),
    ...(['sessionless', 'older'] as const).map((kind): Run => {
      const { origin } = access
      const revision = '2025-11-25'
      return [`server ${kind}`, (folder) => runAcross({ origin, revision, folder, signal }, kind)]
    }),
    ...suites.map((suite): Run => {
      const set = ['--suite', suite]
      return [`suite ${suite}`, (folder) => runClient({ access, set, folder })]
    }),
  ]
  const wanted = runs.filter(([title]) => title.startsWith(process.argv[2] ?? ''))
  if (wanted.length === 0) throw new Error('no run has a title that begins so')
  const all: ScenarioResult[] = []
  for (const [title, run] of wanted) {
    const folder = join(resultsFolder, title.replace(' ', '-'))
    mkdirSync(folder)
    const results = await run(folder)
    signal.throwIfAborted()
    report(title, results)
    all.push(...results)
  }
  const failed = all.filter((result) => !hasPassed(result)).length
  console.log(`\n${all.length - failed} passed, ${failed} failed`)
  return failed
}

type Run = readonly [title: string, run: (folder: string) => Promise<readonly ScenarioResult[]>]

interface ClientRun {
  readonly access: Access
  /** Which scenarios, as the suite's command takes it. */
  readonly set: readonly string[]
  readonly folder: string
}

async function runClient(
  { access, set, folder }: ClientRun,
  revision?: string,
): Promise<readonly ScenarioResult[]> {
  // The suite splits the command at spaces, so that no absolute path may be in it.
  const driver = ['--command', 'node test/conformance/driver.ts', '--timeout', `${scenarioMaxMs}`]
  await runSuite({
    arguments: ['client', ...set, ...driver],
    environment: environmentOf({ ...access, run: set[1] ?? '' }),
    folder,
    signal: stopping.signal,
  })
  if (revision === undefined) return readSuite(folder)
  return requiredScenarios(revision, 'client').map((name) => readDrivenResult(folder, name))
}

function report(title: string, results: readonly ScenarioResult[]): void {
  const passed = results.filter(hasPassed).length
  console.log(`\n${title}: ${passed} of ${results.length} scored scenarios`)
  for (const result of results) {
    const { name, passedChecks, warnings, failures } = result
    const sign = hasPassed(result) ? '✓' : '✗'
    const aside = warnings === 0 ? '' : `, ${warnings} warned`
    console.log(`  ${sign} ${name.padEnd(40)} ${`${passedChecks}`.padStart(2)} checks${aside}`)
    for (const failure of failures) console.log(`      ${failure}`)
  }
}

function hasPassed({ failures }: ScenarioResult): boolean {
  return failures.length === 0
}
