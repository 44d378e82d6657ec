// Whatever a test sees of REST that is not as its row says fails that test, in words that say what to mend.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { faultCatalogue } from '../src/base/fault.ts'
import { assertDescribed } from './described-answers.ts'

const seen = { method: 'GET', status: 200, type: 'application/json' } as const
const times = { beganAt: 1, expiresAt: 2 }
const flow = { id: 'flw_1', status: 'pending', connectionId: 'con_1', ...times, trace: [] }
const problem = {
  type: 'about:blank',
  title: faultCatalogue.not_found.words,
  status: 404,
  code: 'not_found',
  retryable: false,
  reauthorize: false,
}

const flowAnswer = (answer: object, changes = {}) => ({
  ...seen,
  path: '/api/v1/flows/flw_1?x=y',
  text: JSON.stringify(answer),
  ...changes,
})
const problemAnswer = (changes: object) =>
  flowAnswer({ ...problem, ...changes }, { status: 404, type: 'application/problem+json' })

test('an answer as its row says passes, and so does what is no row of REST', () => {
  assertDescribed(flowAnswer(flow))
  assertDescribed(problemAnswer({}))
  assertDescribed({ ...seen, path: '/healthz', text: 'anything' })
})

test('an answer that its row does not say fails, and says so', () => {
  const doesNotFit = /GET \/api\/v1\/flows\/\{id\}/
  assert.throws(() => assertDescribed(flowAnswer({ ...flow, secret: 'x' })), /secret[^]*flows/)
  assert.throws(() => assertDescribed(flowAnswer({ ...flow, status: 'odd' })), /pending[^]*flows/)
  assert.throws(() => assertDescribed(flowAnswer(flow, { status: 201 })), doesNotFit)
  assert.throws(() => assertDescribed(flowAnswer(flow, { type: 'text/html' })), doesNotFit)
})

test('a problem that is not of the catalogue or not whole fails', () => {
  assert.throws(() => assertDescribed(problemAnswer({ code: 'made_up' })), /no such refusal/)
  assert.throws(() => assertDescribed(problemAnswer({ code: 'conflict' })), /no such refusal/)
  assert.throws(() => assertDescribed(problemAnswer({ because: 'x' })), /because/)
  assert.throws(() => assertDescribed(problemAnswer({ title: undefined })), /title/)
})
