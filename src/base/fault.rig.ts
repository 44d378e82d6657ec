// For tests only: what a rejection must be.
import assert from 'node:assert/strict'
import { isFault } from './fault.ts'

/** For `assert.rejects`: a Fault with this code. */
export function code(expected: string): (thrown: unknown) => boolean {
  return (thrown) => isFault(thrown) && (assert.equal(thrown.code, expected), true)
}
