// The official suite as a command: starts it, and reads what it left behind. What it says about a scenario is joined with
// how the driver ended, because the suite itself does not look at that when it runs many.
import { spawn } from 'node:child_process'
import { createWriteStream, globSync, readFileSync } from 'node:fs'
import { delimiter, dirname, join, relative } from 'node:path'
import { createInterface } from 'node:readline'
import { parse as parseYaml } from 'yaml'
import { expectedOutcome } from './scenario.ts'

/** How one scenario went. */
export interface ScenarioResult {
  readonly name: string
  readonly passedChecks: number
  readonly warnings: number
  /** In words, why it did not pass; none when it did. */
  readonly failures: readonly string[]
}

const root = join(import.meta.dirname, '..', '..')
const suiteFolder = join(root, 'node_modules/@modelcontextprotocol/conformance')
const runMaxMs = 10 * 60_000

export interface SuiteRun {
  readonly arguments: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  /** Where its results and its output go. */
  readonly folder: string
  readonly onLine?: (line: string) => void
  /** Ends it early. */
  readonly signal: AbortSignal
}

/** Runs it to its end, whatever that is: what it left behind tells. */
export function runSuite(run: SuiteRun): Promise<void> {
  const { arguments: given, environment, folder, onLine, signal } = run
  const program = join(suiteFolder, 'dist/index.js')
  const child = spawn(process.execPath, [program, ...given, '--output-dir', folder], {
    cwd: root,
    // The suite starts its drivers as `node`: that has to be this one.
    env: { ...process.env, ...environment, PATH: withThisNode(process.env['PATH'] ?? '') },
  })
  const output = createWriteStream(join(folder, 'output.log'))
  child.stdout.pipe(output, { end: false })
  child.stderr.pipe(output, { end: false })
  if (onLine !== undefined) createInterface({ input: child.stdout }).on('line', onLine)
  const limit = AbortSignal.any([signal, AbortSignal.timeout(runMaxMs)])
  const end = () => child.kill()
  limit.addEventListener('abort', end)
  if (limit.aborted) end()
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', () => {
      limit.removeEventListener('abort', end)
      output.end(resolve)
    })
  })
}

function withThisNode(path: string): string {
  return [dirname(process.execPath), path].join(delimiter)
}

/** The scenarios that a revision of MCP requires of a client or a server, as the suite froze them. */
export function requiredScenarios(revision: string, role: Role): readonly string[] {
  const text = readFileSync(join(suiteFolder, 'requirements', `${revision}.yaml`), 'utf8')
  const required = parseYaml(text) as Readonly<Record<Role, readonly string[]>> // the suite's own file
  return required[role]
}

type Role = 'client' | 'server'

/** One thing that a scenario looked at. */
export interface Check {
  readonly id: string
  readonly name: string
  readonly status: 'SUCCESS' | 'FAILURE' | 'WARNING' | 'SKIPPED' | 'INFO'
  readonly description: string
  readonly errorMessage?: string
}

/** Reads one scenario's result. A scenario without a single passed check has not passed. */
export function readResult(folder: string, name: string, prefix = ''): ScenarioResult {
  const checks = readChecks(folder, `${prefix}${name}`)
  if (checks === undefined) {
    return { name, passedChecks: 0, warnings: 0, failures: ['the suite left no result'] }
  }
  const count = (status: Check['status']) =>
    checks.filter((check) => check.status === status).length
  const passedChecks = count('SUCCESS')
  const failures = checks
    .filter(({ status }) => status === 'FAILURE')
    .map((check) => `${check.name}: ${check.errorMessage ?? check.description}`)
  if (passedChecks === 0) failures.push('no check passed')
  return { name, passedChecks, warnings: count('WARNING'), failures }
}

/** What a scenario looked at, in its order; undefined when the suite left nothing. */
export function readChecks(folder: string, name: string): readonly Check[] | undefined {
  const [found] = filesOf(folder, name, 'checks.json')
  if (found === undefined) return undefined
  return JSON.parse(readFileSync(found, 'utf8')) as readonly Check[] // the suite's own file
}

/** The same, and the driver must have ended as the scenario wants it. */
export function readDrivenResult(folder: string, name: string): ScenarioResult {
  const result = readResult(folder, name)
  const [said] = filesOf(folder, name, 'stdout.txt')
  const outcome = said === undefined ? undefined : lastLineOf(readFileSync(said, 'utf8'))
  const expected = expectedOutcome(name)
  if (outcome === expected) return result
  const words = `the driver ended with “${outcome ?? 'nothing'}” instead of “${expected}”`
  return { ...result, failures: [...result.failures, words] }
}

/** The results of a whole suite, whose command fails for a warning too; as many as it said that it runs. */
export function readSuite(folder: string): readonly ScenarioResult[] {
  const said = readFileSync(join(folder, 'output.log'), 'utf8')
  const count = Number(/^Running .+ suite \((\d+) scenarios\)/m.exec(said)?.[1])
  const names = scenariosIn(folder)
  if (names.length !== count) throw new Error(`${names.length} of ${count} scenarios left a result`)
  return names.map((name) => strictly(readDrivenResult(folder, name)))
}

/** The scenarios that left a result. */
export function scenariosIn(folder: string): readonly string[] {
  return globSync(join(folder, '**', 'checks.json'))
    .map((file) => dirname(relative(folder, file)).replace(/-2\d{3}-\d\d-\d\dT[^/]*$/, ''))
    .toSorted()
}

function strictly(result: ScenarioResult): ScenarioResult {
  const { warnings, failures } = result
  return warnings === 0 ? result : { ...result, failures: [...failures, `${warnings} warned`] }
}

/** A folder is named by the scenario and the time; the date keeps `a` apart from `a-b`, and from `a-2020-12`. */
function filesOf(folder: string, scenario: string, file: string): readonly string[] {
  return globSync(join(folder, `${scenario}-2[0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T*`, file))
}

function lastLineOf(text: string): string | undefined {
  return text.trim().split('\n').at(-1)
}
