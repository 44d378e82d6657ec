// The suite's scenarios for servers, played against the reference server directly and once more through the gateway: the
// gateway is right when not one check ends differently. All have to pass directly, for a failure both ways says nothing of the
// gateway.
import { mkdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Loopback } from '../counterparts/loopback.ts'
import { restAs, signIn } from '../harness.ts'
import { ownToken } from './own-token.ts'
import { startOlderServer } from './reference/older-server.ts'
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
  const reference = await startReferenceServer()
  try {
    const folders = await playBoth(run, { direct: reference, behind: reference })
    return compareAll(folders, requiredScenarios(run.revision, 'server'))
  } finally {
    await reference.stop()
  }
}

/** The same for a client with sessions, where the server behind the gateway is of another kind than the one it talks to directly. */
export async function runAcross(
  run: ServerRun,
  kind: OtherKind,
): Promise<readonly ScenarioResult[]> {
  const { start, notCarried } = otherKinds[kind]
  const [direct, behind] = [await startReferenceServer(), await start()]
  try {
    const folders = await playBoth(run, { direct, behind })
    const results = compareAll(folders, requiredScenarios(run.revision, 'server'))
    return results.map((result) => (notCarried.has(result.name) ? mustDiffer(result) : result))
  } finally {
    await Promise.all([direct.stop(), behind.stop()])
  }
}

// Where the gateway keeps nothing between two requests, what needs more than one cannot be carried: questions to the client,
// a stream that is taken up, a session that is ended.
const lasting = [
  'elicitation-sep1034-defaults',
  'elicitation-sep1330-enums',
  'server-session-lifecycle',
  'server-sse-polling',
  'tools-call-elicitation',
  'tools-call-sampling',
]

const otherKinds = {
  /** Of the newest revision alone: the gateway gives the session, and offers no level and no subscription in it. */
  sessionless: {
    start: () => startReferenceServer({ hasSessions: false }),
    notCarried: new Set([
      ...lasting,
      'logging-set-level',
      'resources-subscribe',
      'resources-unsubscribe',
      'tools-call-with-logging',
    ]),
  },
  /** Of the older transport: each call is a session of its own, and the client has none. */
  older: {
    start: startOlderServer,
    notCarried: new Set([...lasting, 'server-initialize', 'server-sse-multiple-streams']),
  },
} as const

/** A kind of server that is not the client's. */
export type OtherKind = keyof typeof otherKinds

function mustDiffer(result: ScenarioResult): ScenarioResult {
  const isSame = result.failures.length === 0
  return { ...result, failures: isSame ? ['it is carried: it need not be named any more'] : [] }
}

interface Servers {
  readonly direct: Loopback
  readonly behind: Loopback
}

async function playBoth(run: ServerRun, { direct, behind }: Servers): Promise<Folders> {
  const endpoint = await putBehind(run.origin, `${behind.origin}/mcp`, basename(run.folder))
  const shim = await startTokenShim(endpoint, await ownToken(endpoint))
  try {
    // One after the other: the scenarios wait for real time, and are many.
    const folders = { direct: join(run.folder, 'direct'), through: join(run.folder, 'through') }
    await play(run, `${direct.origin}/mcp`, folders.direct)
    await play(run, `${shim.origin}/mcp`, folders.through)
    return folders
  } finally {
    await shim.stop()
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
