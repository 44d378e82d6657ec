// What an operator is warned of at the start.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readConfig } from '../config.ts'
import { cautions } from './cautions.ts'

function said(settings: Readonly<Record<string, string>>): string {
  return cautions(readConfig(settings)).join('\n')
}

test('measurements without a key are said to be open where others can reach them', () => {
  for (const host of ['0.0.0.0', '[::]', '10.0.0.7', 'metrics.internal']) {
    const words = said({ LATCHKEY_METRICS_LISTEN: `${host}:9464` })
    assert.match(
      words,
      /^Whoever reaches port 9464 on .* reads the measurements without a key\.$/m,
      host,
    )
    assert.ok(words.includes(host.replaceAll(/[[\]]/g, '')), words)
  }
  for (const host of ['127.0.0.1', 'localhost', '[::1]', '127.1.2.3']) {
    assert.equal(said({ LATCHKEY_METRICS_LISTEN: `${host}:9464` }), '', host)
  }
  assert.equal(said({}), '')
})
