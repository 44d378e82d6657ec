// Every requirement that the product answers with the part of the work that owes it, and which test proves which: a test
// names the ids in its first line, and the run writes them with the test's outcome to the file that LATCHKEY_TEST_REPORT
// names, one JSON line per test. A part is finished when every id that it owes is cited by a passing test; from then on an
// id without one fails the run (after-the-run/requirements.test.ts).
import { appendFileSync } from 'node:fs'
import type { TestContext } from 'node:test'

/** One line of the report. */
export interface TestProof {
  readonly ids: readonly string[]
  readonly test: string
  readonly passed: boolean
}

/**
 * Says what the test proves. A failing subtest does not show in the outcome of the test around it, so the ids belong to
 * the subtest itself.
 */
export function verifies(t: TestContext, ...ids: readonly string[]): void {
  const report = process.env['LATCHKEY_TEST_REPORT']
  if (report === undefined || report === '' || ids.length === 0) return
  t.after(() => {
    const proof: TestProof = { ids, test: t.fullName, passed: t.passed }
    // One short append is one write, so files that run side by side do not mix their lines.
    appendFileSync(report, `${JSON.stringify(proof)}\n`)
  })
}

/** The rows of the threat tables that a test carries in its name: `[P-02]`, and `[row 24]` for T-24. */
export function rowsIn(name: string): readonly string[] {
  const found = name.matchAll(/\[(?:row (\d+)|([PRX]-\d+))\]/g)
  return Array.from(found, ([, number, id]) => id ?? `T-${number}`)
}

/** 1 the spine · 2 let in · 3 reach out · 4 pass through · 5 pages. */
export type Part = 1 | 2 | 3 | 4 | 5

/** The parts whose ids must all be proved. */
export const finishedParts: readonly Part[] = [1, 2, 3, 4]

/** How many ids each list has: S1-1 … S1-91, and so on. T is the table of bad inputs and their answers. */
const lists = { S1: 91, S2: 44, S3: 53, S4: 47, A1: 15, A2: 14, A3: 15, A4: 15, T: 52 } as const
type List = keyof typeof lists

/** Who owes a list, unless a line below says otherwise. */
const owedBy: Readonly<Record<List, Part>> = {
  S1: 3,
  S2: 3,
  S3: 2,
  S4: 4,
  A1: 3,
  A2: 3,
  A3: 2,
  A4: 4,
  T: 2,
}

const otherwise: readonly (readonly [Part, List, string])[] = [
  [
    1,
    'S1',
    '2 4-6 10 15-19 21-22 24 28-34 36-38 41-42 44 46-47 49-52 57-58 60-62 64-65 68 81 84-86',
  ],
  [1, 'S2', '5 11 17 19 25-28 42'],
  [1, 'S3', '13 15-27 30-31 41-43 45'],
  [1, 'S4', '2-3 10-11 18 20 44'],
  [1, 'A1', '1-5 7 10-12'],
  [1, 'A2', '4-5 7-14'],
  [1, 'A3', '3-6 10 13'],
  [1, 'A4', '3'],
  [4, 'S1', '83 87-91'],
  [5, 'S1', '73-77'],
  [5, 'S2', '32-41'],
  // What the gateway answers, and what the connectors do.
  [4, 'T', '36-45'],
  [3, 'T', '46-52'],
]

/** The clauses of the MCP specification for an authorization server: A1 … A16. */
const serverClauses = Array.from({ length: 16 }, (_, index) => [`A${index + 1}`, 2] as const)

/**
 * Attacks that worked on others, and that an authorization server has to withstand. Left out: 28, 30 and 31 are about what a
 * gateway hands on, 40 is about REST; there is no 17 to 19 nor 36 to 39, and those from 50 on are not owed yet.
 */
const attacks = readNumbers('1-16 20-27 29 32-35 41-49').map(
  (number) => [`P-${String(number).padStart(2, '0')}`, 2] as const,
)

/** The clauses of the MCP specification for a client: C1 … C33. What passes calls through owes 29 to 31. */
const clientClauses = Array.from({ length: 33 }, (_, index): readonly [string, Part] => {
  const number = index + 1
  return [`C${number}`, number >= 29 && number <= 31 ? 4 : 3]
})

/** Attacks on those who sign in elsewhere, and what breaks in the middle of a refresh. */
const attacksOnClients = [
  ...readNumbers('60 67-70 92-93').map((number) => `P-${number}`),
  ...readNumbers('3 7-11 14-16 22 28 33 38').map(
    (number) => `X-${String(number).padStart(2, '0')}`,
  ),
  ...readNumbers('1-3 7-9 28-29').map((number) => `R-${String(number).padStart(2, '0')}`),
].map((id) => [id, 3] as const)

/**
 * Attacks on what passes calls through: P-71 to P-79, P-89 to P-91 and P-94 to P-99 are about programs that start processes
 * or about consent, which others owe; P-65, P-66 and P-100 on are about load, expressions and an authorization server.
 */
const attacksOnGateways = [
  ...readNumbers('28 30-31 61-64 80-88 112-113').map((number) => `P-${number}`),
  ...readNumbers('17-19 25-30').map((number) => `X-${number}`),
].map((id) => [id, 4] as const)

/** Every id with the part that owes it. */
export const requirements: ReadonlyMap<string, Part> = new Map([
  ...everyId(),
  ...serverClauses,
  ...attacks,
  ...clientClauses,
  ...attacksOnClients,
  ...attacksOnGateways,
  ...otherwise.flatMap(([part, list, numbers]) =>
    readNumbers(numbers).map((number) => [`${list}-${number}`, part] as const),
  ),
])

function everyId(): readonly (readonly [string, Part])[] {
  const names = Object.keys(lists) as List[] // its own keys
  return names.flatMap((list) =>
    Array.from(
      { length: lists[list] },
      (_, index) => [`${list}-${index + 1}`, owedBy[list]] as const,
    ),
  )
}

/** `1-3 7` is 1, 2, 3 and 7. */
function readNumbers(text: string): readonly number[] {
  return text.split(' ').flatMap((piece) => {
    const [first = 0, last = first] = piece.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  })
}
