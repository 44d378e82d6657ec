// `latchkey test-flow`: proves against the running server that people and programs get in, and only as they should
// (seed 003's oauth:test-flow). Makes its own person and client and takes exactly those away again, however it ends.
import type { Command } from 'commander'
import type { Workshop } from '../workshop.ts'
import { checkFlow, checkServer } from './test-flow-checks.ts'
import type { Check } from './test-flow-checks.ts'
import { beginTestRun, endTestRun, nothingRemoved, removeLeftovers } from './test-flow-data.ts'
import type { RemovedData, TestRun } from './test-flow-data.ts'
import { createAskServer } from './test-flow-http.ts'
import type { AskServer } from './test-flow-http.ts'
import { table } from './terminal.ts'
import { atTheBench } from './workshop.ts'
import type { Bench } from './workshop.ts'

interface FlowOptions {
  readonly url?: string
  readonly json?: boolean
}

/** Adds the command. */
export function addTestFlow(program: Command): void {
  program
    .command('test-flow')
    .description('try out a running server from registration to revocation, with data of its own')
    .option('--url <url>', 'where it is reached; the public URL unless said')
    .option('--json', 'as JSON')
    .action(async (options: FlowOptions) => {
      const stopping = new AbortController()
      const stop = () => stopping.abort(new Error('It was stopped.'))
      process.on('SIGINT', stop)
      process.on('SIGTERM', stop)
      try {
        await atTheBench((bench) => testFlow(bench, options, stopping.signal))
      } finally {
        process.off('SIGINT', stop)
        process.off('SIGTERM', stop)
      }
    })
}

interface Outcome {
  readonly words: string
  readonly ok: boolean
  readonly because?: string
}

const runLimitMs = 120_000
const failedCode = 1
const stoppedCode = 130

/** Runs all checks, prints each, cleans up, and sets the exit code. Throws in words when there is nothing to test. */
export async function testFlow(
  { workshop, terminal }: Bench,
  { url = workshop.tenant.issuer, json = false }: FlowOptions,
  stopping: AbortSignal = new AbortController().signal,
): Promise<void> {
  const print = json ? () => {} : terminal.print
  const signal = AbortSignal.any([stopping, AbortSignal.timeout(runLimitMs)])
  const common = { tenant: workshop.tenant, testHeader: workshop.testHeader() }
  const ask = createAskServer({ url: readOrigin(url), ...common }, signal)
  await checkServer(workshop, { ask, url })
  const isOurs = { words: `${url} is the Latchkey of this database`, ok: true }
  print(`✓ ${isOurs.words}`)

  const leftovers = await removeLeftovers(workshop)
  if (leftovers.people > 0) {
    print(`  An earlier run was killed; what it left is gone: ${count(leftovers)}.`)
  }
  const tried = await tryOut({ workshop, terminal: { ...terminal, print } }, { ask, signal })
  const checks = [isOurs, ...tried.outcomes]
  const ok = checks.every((check) => check.ok) && !signal.aborted
  if (!ok) process.exitCode = stopping.aborted ? stoppedCode : failedCode
  const summary = summarize(checks, { isStopped: signal.aborted })
  const { removed } = tried
  if (json) {
    return terminal.print(JSON.stringify({ url, ok, summary, checks, leftovers, removed, stays }))
  }
  print(`\n${summary}\n\nWhat stays:\n${table(stays.map(({ what, why }) => ['', what, why]))}`)
}

/** What a run leaves behind by its nature. */
const stays = [
  {
    what: 'entries in the journal',
    why: 'it only grows; by it "latchkey usage" counts the tokens and the one denial of the run',
  },
  { what: 'counts of requests', why: 'limits and measurements count every request' },
] as const

function readOrigin(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed !== undefined && /^https?:$/.test(parsed.protocol)) return parsed.origin
  throw new Error('--url is an http or https address.')
}

/** The checks between the making and the taking away of the test's data; that happens whatever the checks do. */
async function tryOut(
  { workshop, terminal }: Bench,
  { ask, signal }: { readonly ask: AskServer; readonly signal: AbortSignal },
): Promise<{ readonly outcomes: readonly Outcome[]; readonly removed: RemovedData }> {
  const outcomes: Outcome[] = []
  const tell = (outcome: Outcome, more = '') => {
    outcomes.push(outcome)
    const { words, ok, because } = outcome
    terminal.print(ok ? `✓ ${words}${more}` : `✗ ${words}: ${because}`)
  }
  const run = await beginTestRun(workshop)
  try {
    await checkFlow(workshop, { ask, run }, createCheck(tell, signal))
  } catch (thrown) {
    // A check that failed has said so, and who stopped the run knows; anything else is a failure of its own.
    const isTold = signal.aborted || outcomes.some(({ ok }) => !ok)
    if (!isTold) tell(failure('The checks ran to their end', thrown))
  }
  const removed = await cleanUp(workshop, run, tell)
  return { outcomes, removed }
}

/** Keeps an outcome and prints it, with more words after a good one. */
type Tell = (outcome: Outcome, more?: string) => void

function createCheck(tell: Tell, signal: AbortSignal): Check {
  return async (words, work) => {
    signal.throwIfAborted()
    try {
      const result = await work()
      tell({ words, ok: true })
      return result
    } catch (thrown) {
      if (!signal.aborted) tell(failure(words, thrown))
      throw thrown
    }
  }
}

function failure(words: string, thrown: unknown): Outcome & { readonly because: string } {
  return { words, ok: false, because: thrown instanceof Error ? thrown.message : 'it failed' }
}

async function cleanUp(workshop: Workshop, run: TestRun, tell: Tell): Promise<RemovedData> {
  const words = 'What the test made is gone again'
  try {
    const removed = await endTestRun(workshop, run)
    tell({ words, ok: true }, `: ${count(removed)}`)
    return removed
  } catch (thrown) {
    const { because, ...failed } = failure(words, thrown)
    tell({ ...failed, because: `${because}. A run in ten minutes takes it away` })
    return nothingRemoved
  }
}

const nouns = {
  people: ['person', 'people'],
  clients: ['client', 'clients'],
  grants: ['grant', 'grants'],
  codes: ['code', 'codes'],
  accessTokens: ['access token', 'access tokens'],
  refreshTokens: ['refresh token', 'refresh tokens'],
  attempts: ['attempt to connect', 'attempts to connect'],
} as const

function count(removed: RemovedData): string {
  const names = Object.keys(nouns) as (keyof RemovedData)[] // its own keys
  return names
    .map((name) => `${removed[name]} ${removed[name] === 1 ? nouns[name][0] : nouns[name][1]}`)
    .join(', ')
}

function summarize(
  checks: readonly Outcome[],
  { isStopped }: { readonly isStopped: boolean },
): string {
  const passed = checks.filter(({ ok }) => ok).length
  if (isStopped) return `Stopped after ${passed} checks.`
  if (passed === checks.length) return `All ${passed} checks passed.`
  const failed = checks.length - passed
  return `${failed} of ${checks.length} checks failed. What builds on them was not tried.`
}
