import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../../test/requirements.ts'
import { createAddressRules, literalAddress, publicNetwork, shownAddress } from './addresses.ts'

const strict = createAddressRules([])
const words = (text: string) => text.split(' ')

/** Threats X-14: addresses that no outbound call may reach unless the operator says so. */
const forbidden = [
  ...words('0.0.0.0 0.255.255.255 127.0.0.1 127.255.255.255 10.0.0.0 10.255.255.255'),
  ...words('172.16.0.0 172.31.255.255 192.168.0.1 192.168.255.255'),
  ...words('100.64.0.0 100.100.100.200 100.127.255.255'),
  // Where clouds answer about themselves.
  ...words('169.254.0.0 169.254.169.254 169.254.255.255 168.63.129.16 192.0.0.192'),
  // Documentation, benchmarks, relays, multicast, reserved, broadcast.
  ...words('192.0.0.1 192.0.2.1 192.88.99.1 198.18.0.0 198.19.255.255 198.51.100.1'),
  ...words('203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.0 255.255.255.255'),
  // The same in IPv6.
  ...words(':: ::1 fe80::1 febf::1 fec0::1 fc00::1 fd00:ec2::254 ff02::1 100::1'),
  ...words('2001:db8::1 3fff::1 2001:2::1 2001:10::1 2001:20::1 5f00::1 4000::1'),
  // IPv4 in IPv6: mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP.
  ...words('::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:169.254.169.254 ::ffff:168.63.129.16'),
  ...words('::127.0.0.1 ::8.8.8.8 ::808:808 ::ffff:0:127.0.0.1 ::ffff:0:8.8.8.8'),
  ...words('64:ff9b::a9fe:a9fe 64:ff9b::7f00:1 64:ff9b::10.0.0.1'),
  ...words('64:ff9b:1::8.8.8.8 64:ff9b:1:a9fe:a9:fe00:808:808'),
  ...words('2002:7f00:1:: 2002:a9fe:a9fe::1 2002:a00:1:1:: 2001:0:7f00:1:: 2001::8.8.8.8'),
  ...words('2606:4700::5efe:10.0.0.1 2606:4700::200:5efe:7f00:1 2002:808:808::5efe:10.0.0.1'),
  // No addresses at all, or forms that programs read differently.
  ...words('localhost 127.1 0x7f.1 2130706433 0177.0.0.1 0 1.2.3 8.8.8.8:53 [::1] 8.8.8.8/32 ::g'),
  '',
  ' 8.8.8.8',
  '8.8.8.8\n',
]

for (const address of forbidden) {
  test(`${JSON.stringify(address)} may not be reached`, (t) => {
    verifies(t, 'X-14')
    assert.equal(strict.mayReach(address), false)
    assert.equal(strict.isOwn(address), false)
  })
}

const allowed = [
  ...words('8.8.8.8 1.1.1.1 93.184.216.34 9.255.255.255 11.0.0.0 126.255.255.255 128.0.0.0'),
  ...words('172.15.255.255 172.32.0.0 100.63.255.255 100.128.0.0 223.255.255.1'),
  ...words('168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.0 198.17.255.255'),
  ...words('2606:4700::1111 2a00:1450::1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1'),
]

for (const address of allowed) {
  test(`${address} may be reached`, (t) => {
    verifies(t, 'X-14')
    assert.equal(strict.mayReach(address), true)
  })
}

test('whatever is refused as IPv4 is refused in every wrapping', (t) => {
  verifies(t, 'X-14')
  const byte = fc.nat({ max: 255 })
  const hex = (high = 0, low = 0) => ((high << 8) | low).toString(16)
  fc.assert(
    fc.property(fc.tuple(byte, byte, byte, byte), ([a, b, c, d]) => {
      const plain = `${a}.${b}.${c}.${d}`
      const [high, low] = [hex(a, b), hex(c, d)]
      const may = strict.mayReach(plain)
      assert.equal(strict.mayReach(`::ffff:${plain}`), may)
      assert.equal(strict.mayReach(`64:ff9b::${plain}`), may)
      assert.equal(strict.mayReach(`2002:${high}:${low}::1`), may)
      assert.equal(strict.mayReach(`::${plain}`), false)
      assert.equal(strict.mayReach(`2001:0:1:1:1:1:${high}:${low}`), false)
    }),
  )
})

test('a network that the operator allows is reached, and nothing beside it', () => {
  const rules = createAddressRules(['10.1.0.0/16', 'fd00:1::/32'])
  for (const own of ['10.1.0.0', '10.1.255.255', 'fd00:1::5', '::ffff:10.1.2.3']) {
    assert.deepEqual([rules.isOwn(own), rules.mayReach(own)], [true, true], own)
  }
  for (const other of ['10.0.255.255', '10.2.0.0', 'fd00:2::5', '127.0.0.1', '64:ff9b::10.1.0.1']) {
    assert.deepEqual([rules.isOwn(other), rules.mayReach(other)], [false, false], other)
  }
  assert.deepEqual([rules.isOwn('8.8.8.8'), rules.mayReach('8.8.8.8')], [false, true])
})

test('`loopback` is both families and only them', () => {
  const rules = createAddressRules(['loopback'])
  assert.ok(rules.isOwn('127.0.0.1') && rules.isOwn('127.9.9.9') && rules.isOwn('::1'))
  assert.ok(!rules.mayReach('0.0.0.0') && !rules.mayReach('::') && !rules.mayReach('10.0.0.1'))
})

test('an entry that is no network is refused in plain words', () => {
  for (const entry of [
    '10.0.0.1',
    'localhost',
    '',
    '10.0.0.0/33',
    '*',
    '::ffff:10.0.0.0/104',
    '::10.0.0.0/104',
  ]) {
    assert.throws(() => createAddressRules([entry]), /is not a network/)
  }
})

test('a literal address is told from a name', () => {
  assert.equal(literalAddress('[::1]'), '::1')
  assert.equal(literalAddress('127.0.0.1'), '127.0.0.1')
  for (const name of ['example.com', 'localhost', '127.1', '1', '']) {
    assert.equal(literalAddress(name), undefined)
  }
})

test('what stands for whoever is behind a public address', () => {
  for (const [address, network] of [
    ['8.8.8.8', '8.8.8.8'],
    ['::ffff:8.8.8.8', '8.8.8.8'],
    ['2a00:1450:1:2::1', '2a00:1450:1:2::/64'],
    ['2a00:1450:1:2:ffff:ffff:ffff:ffff', '2a00:1450:1:2::/64'],
    ['2a00:1450:1:3::1', '2a00:1450:1:3::/64'],
    ['127.0.0.1', undefined],
    ['::1', undefined],
    ['10.1.2.3', undefined],
    ['::ffff:192.168.1.1', undefined],
    ['fd00::1', undefined],
    ['example.com', undefined],
    ['', undefined],
  ] as const) {
    assert.equal(publicNetwork(address), network, address)
  }
})

test('an address is shown as people write it, unless it says nothing', () => {
  for (const [address, shown] of [
    ['203.0.113.9', '203.0.113.9'],
    ['::ffff:192.168.1.7', '192.168.1.7'],
    ['2A00:1450:0:0::1', '2a00:1450::1'],
    ['127.0.0.1', undefined],
    ['::1', undefined],
    ['::ffff:127.0.0.1', undefined],
    ['<b>', undefined],
  ] as const) {
    assert.equal(shownAddress(address), shown, address)
  }
})

test('a place is one port of one address, where places are taken at all', () => {
  const rules = createAddressRules(['127.0.0.1:3000', '[::1]:3000'], { takesPlaces: true })
  for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) {
    assert.ok(rules.isOwn(address, 3000) && rules.mayReach(address, 3000), address)
    for (const port of [2999, 3001, 443, undefined]) {
      assert.ok(!rules.isOwn(address, port) && !rules.mayReach(address, port), `${address} ${port}`)
    }
  }
  assert.ok(!rules.mayReach('127.0.0.2', 3000))
  assert.ok(!rules.isOwn('8.8.8.8', 3000) && rules.mayReach('8.8.8.8', 3000))
  assert.throws(() => createAddressRules(['127.0.0.1:3000']), /is not a network/)
  for (const entry of ['localhost:3000', '127.0.0.1:0', '127.0.0.1:65536', '::1:3000', '1.2.3:1']) {
    assert.throws(
      () => createAddressRules([entry], { takesPlaces: true }),
      /is not a network/,
      entry,
    )
  }
})
