// Whose address counts: one place for all spellings of it, and no header believed from somebody who is not trusted.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../../test/requirements.ts'
import { createCallerOf } from './callers-address.ts'
import type { Arrival } from './callers-address.ts'

const nobody = placeBehind([])
const behindProxies = placeBehind(['10.0.0.0/8', 'loopback', 'fd00::/8'])
const plain = { forwardedFor: undefined, forwarded: undefined }

test('all spellings of an address are one place', (t) => {
  verifies(t, 'P-49')
  const nameOf = (peer: string) => nobody({ ...plain, peer }).name
  for (const alias of ['1.2.3.4', '::ffff:1.2.3.4', '::ffff:102:304', '::FFFF:0102:0304']) {
    assert.equal(nameOf(alias), '1.2.3.4', alias)
  }
  const subscriber = nameOf('2001:db8:0:7::1')
  for (const alias of ['2001:0DB8::7:ffff:2:3:4', '2001:db8:0:7:8000::', '2001:db8:0:7::9%eth0']) {
    assert.equal(nameOf(alias), subscriber, alias)
  }
  assert.notEqual(nameOf('2001:db8:0:8::1'), subscriber)
  assert.notEqual(nameOf('1.2.3.5'), nameOf('1.2.3.4'))
})

test('a header of somebody who is not trusted says nothing', (t) => {
  verifies(t, 'P-49')
  for (const placeOf of [nobody, behindProxies]) {
    const forged = { forwardedFor: '9.9.9.9', forwarded: 'for=9.9.9.9' }
    assert.equal(placeOf({ ...forged, peer: '1.2.3.4' }).name, '1.2.3.4')
  }
})

const hops: readonly (readonly [string, string | undefined, string | undefined, string])[] = [
  ['one hop', '1.2.3.4', undefined, '1.2.3.4'],
  ['what the client made up stands further left', '9.9.9.9, 1.2.3.4', undefined, '1.2.3.4'],
  ['two proxies of ours', '9.9.9.9, 1.2.3.4, 10.0.0.2', undefined, '1.2.3.4'],
  ['a client inside: all are trusted', '10.0.0.9, 10.0.0.2', undefined, '10.0.0.9'],
  ['a port', '1.2.3.4:5678', undefined, '1.2.3.4'],
  ['an IPv6 address with a port', '[2001:db8::5]:443', undefined, '2001:db8::/64'],
  ['Forwarded', undefined, 'for=9.9.9.9, for="[2001:db8::5]:443";proto=https', '2001:db8::/64'],
  ['Forwarded behind two proxies', undefined, 'for=1.2.3.4;by=x, For=10.0.0.2', '1.2.3.4'],
  ['both, and they agree', '1.2.3.4', 'for=1.2.3.4', '1.2.3.4'],
  ['both, and one was made up', '1.2.3.4', 'for=9.9.9.9', '10.0.0.1'],
  ['no address at all', 'unknown', undefined, '10.0.0.1'],
  ['an obfuscated hop', undefined, 'for=_hidden', '10.0.0.1'],
  ['nothing', undefined, undefined, '10.0.0.1'],
  ['empty fields', ' , ', '', '10.0.0.1'],
]

for (const [name, forwardedFor, forwarded, place] of hops) {
  test(`behind a trusted proxy: ${name}`, (t) => {
    verifies(t, 'P-49')
    assert.equal(behindProxies({ peer: '10.0.0.1', forwardedFor, forwarded }).name, place)
    assert.equal(behindProxies({ peer: '::ffff:10.0.0.1', forwardedFor, forwarded }).name, place)
  })
}

test('the addresses that a vendor calls from are one crowd', () => {
  const crowd = nobody({ ...plain, peer: '160.79.104.1' })
  assert.deepEqual(crowd, { name: 'anthropic', isCrowd: true })
  assert.deepEqual(nobody({ ...plain, peer: '::ffff:160.79.111.255' }), crowd)
  assert.equal(nobody({ ...plain, peer: '160.79.112.0' }).isCrowd, false)
  assert.equal(nobody({ ...plain, peer: '160.79.103.255' }).isCrowd, false)
  const proxied = { peer: '10.0.0.1', forwardedFor: '160.79.106.7', forwarded: undefined }
  assert.deepEqual(behindProxies(proxied), crowd)
})

test('without an address nobody is singled out', () => {
  assert.deepEqual(nobody({ ...plain, peer: undefined }), { name: 'unknown', isCrowd: true })
})

function placeBehind(trusted: readonly string[]) {
  const callerOf = createCallerOf(trusted)
  return (arrival: Arrival) => callerOf(arrival).place
}
