// Which requirement or threat each test proves: a test names the ids in its first line, and the run writes them with the
// test's outcome to the file that LATCHKEY_TEST_REPORT names, one JSON line per test.
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
  if (report === undefined || report === '') return
  t.after(() => {
    const proof: TestProof = { ids, test: t.fullName, passed: t.passed }
    // One short append is one write, so files that run side by side do not mix their lines.
    appendFileSync(report, `${JSON.stringify(proof)}\n`)
  })
}
