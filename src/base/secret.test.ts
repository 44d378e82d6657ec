import assert from 'node:assert/strict'
import { test } from 'node:test'
import { format, inspect } from 'node:util'
import { verifies } from '../../test/requirements.ts'
import { Secret } from './secret.ts'

const value = 'canary-4711'

const ways: Readonly<Record<string, (secret: Secret) => string>> = {
  String: (secret) => String(secret),
  template: (secret) => `${secret}`, // oxlint-disable-line typescript/restrict-template-expressions
  concatenation: (secret) => 'a' + (secret as unknown as string), // as a careless caller would
  join: (secret) => [secret, secret].join(','),
  JSON: (secret) => JSON.stringify({ secret, list: [secret] }),
  inspect: (secret) => inspect({ secret }, { depth: 9, showHidden: true }),
  'inspect without custom': (secret) => inspect(secret, { customInspect: false, showHidden: true }),
  format: (secret) => format('%s %o %O %j %d', secret, secret, secret, secret, secret),
  'error text': (secret) => inspect(new Error(String(secret), { cause: secret })),
  entries: (secret) => JSON.stringify(Object.entries(secret)),
  clone: (secret) => inspect(structuredClone(Object.assign({}, secret))),
  query: (secret) => new URLSearchParams({ secret: String(secret) }).toString(),
  number: (secret) => String(Number(secret)),
}

for (const [way, print] of Object.entries(ways)) {
  test(`a secret does not show by ${way}`, (t) => {
    verifies(t, 'X-31')
    assert.ok(!print(new Secret(value)).includes(value))
  })
}

test('a secret says that it is redacted, and reveals its value when asked', () => {
  const secret = new Secret(value)
  assert.equal(String(secret), '[redacted]')
  assert.equal(JSON.stringify(secret), '"[redacted]"')
  assert.equal(inspect(secret), '[redacted]')
  assert.equal(secret.reveal(), value)
})
