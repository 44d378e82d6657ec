// After every other test: each requirement that a finished part owes was proved by a test that passed.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { TestProof } from '../requirements.ts'
import { finishedParts, requirements } from '../requirements.ts'

const proofs = readProofs()

test('every requirement of a finished part is proved by a passing test', () => {
  const proved = new Set(proofs.filter(({ passed }) => passed).flatMap(({ ids }) => ids))
  const owed = [...requirements].filter(([, part]) => finishedParts.includes(part))
  const missing = owed.map(([id]) => id).filter((id) => !proved.has(id))
  assert.ok(owed.length > 0)
  assert.deepEqual(missing, [])
})

test('no test cites a requirement that does not exist', () => {
  const cited = new Set(proofs.flatMap(({ ids }) => ids))
  const unknown = [...cited].filter((id) => /^(?:[SA]\d|T)-\d+$/.test(id) && !requirements.has(id))
  assert.deepEqual(unknown, [])
})

test('no requirement is claimed by a test that failed', () => {
  const failed = proofs.filter(({ passed }) => !passed)
  assert.deepEqual(failed, [])
})

function readProofs(): readonly TestProof[] {
  const report = process.env['LATCHKEY_TEST_REPORT']
  assert.ok(report, 'the run wrote a report')
  return readFileSync(report, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as TestProof) // requirements.ts wrote it
}
