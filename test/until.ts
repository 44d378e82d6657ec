// Waits for something that another part of the same process does in its own time.
import assert from 'node:assert/strict'

const turnsMax = 3_000

/** Lets everybody else take turns until it is so; the test fails when it does not become so. */
export async function until(isSo: () => boolean): Promise<void> {
  for (let turn = 0; turn < turnsMax; turn += 1) {
    if (isSo()) return
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  assert.fail('it did not become so')
}
