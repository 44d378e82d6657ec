// The suite's scenarios for servers, played against the reference server directly and once more through the gateway: the
// gateway is right when not one check ends differently. All have to pass directly, for a failure both ways says nothing of the
// gateway.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { restAs, signIn } from '../harness.ts'
import { ownToken } from './own-token.ts'
import { startReferenceServer } from './reference/server.ts'
import { readChecks, readResult, requiredScenarios, runSuite, scenariosIn } from './suite.ts'
import type { Check, ScenarioResult } from './suite.ts'
import { startTokenShim } from './token-shim.ts'

interface ServerRun {
  /** Where Latchkey is. */
  readonly origin: string
  readonly revision: string
  readonly folder: string
  readonly signal: AbortSignal
}

/** Plays a revision's scenarios both ways. A scenario fails where the two differ in a check, and where it fails directly. */
export async function runServer(run: ServerRun): Promise<readonly ScenarioResult[]> {
  const { origin, revision } = run
  const reference = await startReferenceServer()
  try {
    const upstream = `${reference.origin}/mcp`
    const endpoint = await putBehind(origin, upstream, `reference-${revision}`)
    const shim = await startTokenShim(endpoint, await ownToken(endpoint))
    try {
      // One after the other: the scenarios wait for real time, and are many.
      const folders = { direct: join(run.folder, 'direct'), through: join(run.folder, 'through') }
      await play(run, upstream, folders.direct)
      await play(run, `${shim.origin}/mcp`, folders.through)
      return compareAll(folders, requiredScenarios(revision, 'server'))
    } finally {
      await shim.stop()
    }
  } finally {
    await reference.stop()
  }
}

async function putBehind(origin: string, url: string, slug: string): Promise<string> {
  const asOperator = restAs(await signIn(origin), origin)
  const wish = { url, slug, name: 'Reference', auth: 'none' }
  const { status, body } = await asOperator('POST', '/servers', wish)
  if (status !== 201) throw new Error(`the server was not added: ${status} ${JSON.stringify(body)}`)
  return `${origin}/${slug}/mcp`
}

async function play({ revision, signal }: ServerRun, url: string, folder: string): Promise<void> {
  mkdirSync(folder)
  const set = ['--url', url, '--requirements', revision]
  await runSuite({ arguments: ['server', ...set], folder, signal })
}

interface Folders {
  readonly direct: string
  readonly through: string
}

function compareAll(folders: Folders, required: readonly string[]): readonly ScenarioResult[] {
  const played = [...new Set([folders.direct, folders.through].flatMap(scenariosIn))]
  const all = new Set([...required, ...played.map((name) => name.slice(prefix.length))])
  return [...all].toSorted().map((name) => compare(folders, name))
}

function isPassing(checks: readonly Check[]): boolean {
  const isBad = ({ status }: Check) => status === 'FAILURE' || status === 'WARNING'
  return checks.length > 0 && !checks.some(isBad)
}

function compare(folders: Folders, name: string): ScenarioResult {
  const result = readResult(folders.through, name, prefix)
  const direct = checksOf(folders.direct, name)
  const failures = differences(direct, checksOf(folders.through, name))
  return { ...result, failures: isPassing(direct) ? failures : ['it fails directly', ...failures] }
}

const prefix = 'server-'

function checksOf(folder: string, name: string): readonly Check[] {
  return readChecks(folder, `${prefix}${name}`) ?? []
}

function differences(direct: readonly Check[], through: readonly Check[]): string[] {
  const count = Math.max(direct.length, through.length)
  return Array.from({ length: count }, (_, index) => [direct[index], through[index]] as const)
    .filter(([one, other]) => one?.id !== other?.id || one?.status !== other?.status)
    .map(([one, other]) => `directly ${outcomeOf(one)}, through the gateway ${outcomeOf(other)}`)
}

function outcomeOf(check: Check | undefined): string {
  if (check === undefined) return 'nothing'
  const { id, status, errorMessage } = check
  return `${id} ${status}${errorMessage === undefined ? '' : ` (${errorMessage})`}`
}
