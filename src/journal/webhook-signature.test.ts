import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemRandom } from '../base/random.ts'
import { Secret } from '../base/secret.ts'
import { verifies } from '../../test/requirements.ts'
import { makeWebhookSecret, signatureHeaders } from './webhook-signature.ts'

const parts = {
  id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  timestampS: 1_614_265_330,
  body: '{"test": 2432232314}',
}
const secret = new Secret('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')
const expected = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='

test('the example of Standard Webhooks gives its signature', (t) => {
  verifies(t, 'X-36')
  assert.deepEqual(signatureHeaders(parts, [secret]), {
    'webhook-id': parts.id,
    'webhook-timestamp': '1614265330',
    'webhook-signature': expected,
  })
})

test('two secrets give two signatures, the newest first', () => {
  const newest = makeWebhookSecret(systemRandom)
  const signature = signatureHeaders(parts, [newest, secret])['webhook-signature'] ?? ''
  const [first, second, ...rest] = signature.split(' ')
  assert.deepEqual([second, rest], [expected, []])
  assert.match(first ?? '', /^v1,[A-Za-z0-9+/]{43}=$/)
})

test('id, time and body are all signed', () => {
  for (const change of [{ id: 'msg_other' }, { timestampS: 1_614_265_331 }, { body: '{}' }]) {
    const headers = signatureHeaders({ ...parts, ...change }, [secret])
    assert.notEqual(headers['webhook-signature'], expected)
  }
})

test('a new secret is 32 bytes in base64 after its prefix', () => {
  const text = makeWebhookSecret(systemRandom).reveal()
  assert.match(text, /^whsec_[A-Za-z0-9+/]{43}=$/)
  assert.notEqual(text, makeWebhookSecret(systemRandom).reveal())
})
