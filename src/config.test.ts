// Settings: what is taken, what is refused with words an operator understands, and that a secret is only said to be set.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { verifies } from '../test/requirements.ts'
import { describeSettings, readConfig } from './config.ts'

test('without any setting it runs on loopback with an embedded database', () => {
  const config = readConfig({})
  assert.equal(config.publicUrl, 'http://localhost:8787')
  assert.deepEqual(config.listen, { host: '127.0.0.1', port: 8787 })
  assert.equal(config.metricsListen, undefined)
  assert.equal(config.databaseUrl, undefined)
  assert.deepEqual(config.allowPrivateNetworks, [])
  assert.equal(config.accessTokenLifetimeMs, 3_600_000)
  assert.equal(config.codeLifetimeMs, 60_000)
})

const refused: readonly (readonly [string, string, RegExp])[] = [
  ['LATCHKEY_PUBLIC_URL', 'http://mcp.example.com', /must be https/],
  ['LATCHKEY_PUBLIC_URL', 'https://mcp.example.com/path', /written as https:\/\/mcp\.example\.com/],
  ['LATCHKEY_PUBLIC_URL', 'mcp.example.com', /must be an origin/],
  ['LATCHKEY_PUBLIC_URL', 'ftp://mcp.example.com', /must be an origin/],
  ['LATCHKEY_LISTEN', '8787', /host:port/],
  ['LATCHKEY_LISTEN', '127.0.0.1:99999', /host:port/],
  ['LATCHKEY_METRICS_LISTEN', '9464', /LATCHKEY_METRICS_LISTEN must be host:port/],
  ['LATCHKEY_DATABASE_URL', 'mysql://db', /postgres/],
  ['LATCHKEY_LOG', 'loud', /LATCHKEY_LOG/],
  ['LATCHKEY_CODE_LIFETIME_S', '601', /5 to 600/],
  ['LATCHKEY_CODE_LIFETIME_S', '4', /5 to 600/],
  ['LATCHKEY_CODE_LIFETIME_S', 'a minute', /whole seconds/],
  ['LATCHKEY_SIGNING_KEY_LIFETIME_S', '86399', /86400 to/],
  ['LATCHKEY_DISCOVERY_CACHE_S', '299', /300 to/],
  ['LATCHKEY_RETURN_ORIGINS', 'https://a.test,*', /LATCHKEY_RETURN_ORIGINS must be an origin/],
  ['LATCHKEY_RETURN_ORIGINS', 'https://a.test/in', /written as https:\/\/a\.test/],
  ['LATCHKEY_RETURN_ORIGINS', 'http://a.test', /must be https/],
  ['LATCHKEY_TRUSTED_PROXIES', 'proxy.example.com', /LATCHKEY_TRUSTED_PROXIES: .*not a network/],
  ['LATCHKEY_LIMIT_SCALE', '-1', /from 0 to 1000/],
  ['LATCHKEY_LIMIT_SCALE', '1001', /from 0 to 1000/],
  ['LATCHKEY_LIMIT_SCALE', 'much', /from 0 to 1000/],
  ['LATCHKEY_LIMIT_CALLS_PER_MINUTE', '0', /from 1 to/],
  ['LATCHKEY_LIMIT_CALLS_PER_MINUTE', '1.5', /whole number/],
  ['LATCHKEY_OPERATOR_EMAIL', 'ada@example.com', /go together/],
  ['LATCHKEY_LISTEN', '0.0.0.0:80', /LATCHKEY_PUBLIC_URL must be set/],
  ['LATCHKEY_PUBLC_URL', 'https://mcp.example.com', /no setting LATCHKEY_PUBLC_URL/],
]

for (const [name, value, words] of refused) {
  test(`${name}=${value} is refused with words`, (t) => {
    // In production everything travels under https.
    if (value.startsWith('http://')) verifies(t, 'S3-44', 'A10')
    if (name.endsWith('_LIFETIME_S')) verifies(t, 'S3-12')
    assert.throws(() => readConfig({ [name]: value }), words)
  })
}

const accepted: readonly (readonly [string, string])[] = [
  ['LATCHKEY_PUBLIC_URL', 'https://mcp.example.com'],
  ['LATCHKEY_PUBLIC_URL', 'https://mcp.example.com/'],
  ['LATCHKEY_PUBLIC_URL', 'http://127.0.0.1:9000'],
  ['LATCHKEY_PUBLIC_URL', 'http://[::1]:9000'],
  ['LATCHKEY_LISTEN', '[::1]:8787'],
  ['LATCHKEY_METRICS_LISTEN', '127.0.0.1:9464'],
  ['LATCHKEY_CODE_LIFETIME_S', '600'],
  ['LATCHKEY_ACCESS_TOKEN_LIFETIME_S', '604800'],
  ['LATCHKEY_REFRESH_TOKEN_LIFETIME_S', '2592000'],
  ['LATCHKEY_SIGNING_KEY_LIFETIME_S', '86400'],
  ['LATCHKEY_DISCOVERY_CACHE_S', '300'],
  ['LATCHKEY_RETURN_ORIGINS', 'https://a.test, http://localhost:3000'],
  ['LATCHKEY_TRUSTED_PROXIES', 'loopback, 10.0.0.5/32'],
  ['LATCHKEY_LIMIT_SCALE', '0'],
  ['LATCHKEY_LIMIT_SCALE', '2.5'],
  ['LATCHKEY_LIMIT_CALLS_PER_MINUTE', '1'],
]

for (const [name, value] of accepted) {
  test(`${name}=${value} is taken`, (t) => {
    if (name.endsWith('_LIFETIME_S')) verifies(t, 'S3-12')
    assert.doesNotThrow(() => readConfig({ [name]: value }))
  })
}

test('a file gives what the environment does not', (t) => {
  const file = settingsFile(t, 'LATCHKEY_LOG: debug\nLATCHKEY_CODE_LIFETIME_S: 30\n')
  assert.equal(readConfig({ LATCHKEY_CONFIG: file }).codeLifetimeMs, 30_000)
  assert.equal(readConfig({ LATCHKEY_CONFIG: file, LATCHKEY_LOG: 'warn' }).logLevel, 'warn')
})

test('without a public URL the links lead to the port that is listened on', () => {
  assert.equal(readConfig({ LATCHKEY_LISTEN: '127.0.0.1:9000' }).publicUrl, 'http://localhost:9000')
  const open = { LATCHKEY_LISTEN: '0.0.0.0:80', LATCHKEY_PUBLIC_URL: 'https://mcp.example.com' }
  assert.deepEqual(readConfig(open).listen, { host: '0.0.0.0', port: 80 })
})

test('a list in the file is a list; anything deeper is refused by name', (t) => {
  const list = settingsFile(t, 'LATCHKEY_ALLOW_PRIVATE_NETWORKS: [loopback, 10.0.0.0/8]\n')
  const { allowPrivateNetworks } = readConfig({ LATCHKEY_CONFIG: list })
  assert.deepEqual(allowPrivateNetworks, ['loopback', '10.0.0.0/8'])
  const deep = settingsFile(t, 'LATCHKEY_LOG: { level: debug }\n')
  assert.throws(() => readConfig({ LATCHKEY_CONFIG: deep }), /LATCHKEY_LOG must be/)
  const broken = settingsFile(t, 'LATCHKEY_LOG: "debug\n')
  assert.throws(() => readConfig({ LATCHKEY_CONFIG: broken }), /is not YAML/)
})

test('a misspelt setting in the file is refused by name', (t) => {
  const file = settingsFile(t, 'LATCHKEY_PUBLC_URL: https://mcp.example.com\n')
  assert.throws(() => readConfig({ LATCHKEY_CONFIG: file }), /LATCHKEY_PUBLC_URL/)
  assert.throws(() => readConfig({ LATCHKEY_CONFIG: '/nowhere.yaml' }), /not there/)
})

test('secrets are only said to be set, also those of the file', (t) => {
  const file = settingsFile(t, 'LATCHKEY_DATABASE_URL: postgres://ada:pa55word@db/latchkey\n')
  const described = JSON.stringify(
    describeSettings({
      LATCHKEY_CONFIG: file,
      LATCHKEY_OPERATOR_EMAIL: 'ada@example.com',
      LATCHKEY_OPERATOR_PASSWORD: 'correct horse battery',
    }),
  )
  assert.ok(!described.includes('pa55word'))
  assert.ok(!described.includes('correct horse'))
  assert.ok(described.includes('(set)'))
  assert.ok(described.includes('ada@example.com'))
})

function settingsFile(t: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-config-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'latchkey.yaml')
  writeFileSync(file, text)
  return file
}
