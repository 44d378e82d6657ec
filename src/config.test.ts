// Settings: what is taken, what is refused with words an operator understands, and that a secret is only said to be set.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { describeSettings, readConfig } from './config.ts'

test('without any setting it runs on loopback with an embedded database', () => {
  const config = readConfig({})
  assert.equal(config.publicUrl, 'http://localhost:8787')
  assert.deepEqual(config.listen, { host: '127.0.0.1', port: 8787 })
  assert.equal(config.databaseUrl, undefined)
  assert.deepEqual(config.allowPrivateNetworks, [])
  assert.equal(config.accessTokenLifetimeMs, 3_600_000)
  assert.equal(config.codeLifetimeMs, 60_000)
})

const refused: readonly (readonly [string, string, RegExp])[] = [
  ['LATCHKEY_PUBLIC_URL', 'http://mcp.example.com', /must be https/],
  [
    'LATCHKEY_PUBLIC_URL',
    'https://mcp.example.com/path',
    /without a path: https:\/\/mcp\.example\.com/,
  ],
  ['LATCHKEY_PUBLIC_URL', 'mcp.example.com', /must be an origin/],
  ['LATCHKEY_PUBLIC_URL', 'ftp://mcp.example.com', /must be an origin/],
  ['LATCHKEY_LISTEN', '8787', /host:port/],
  ['LATCHKEY_LISTEN', '127.0.0.1:99999', /host:port/],
  ['LATCHKEY_DATABASE_URL', 'mysql://db', /postgres/],
  ['LATCHKEY_LOG', 'loud', /LATCHKEY_LOG/],
  ['LATCHKEY_CODE_LIFETIME_S', '601', /5 to 600/],
  ['LATCHKEY_CODE_LIFETIME_S', '4', /5 to 600/],
  ['LATCHKEY_CODE_LIFETIME_S', 'a minute', /whole seconds/],
  ['LATCHKEY_DISCOVERY_CACHE_S', '299', /300 to/],
  ['LATCHKEY_OPERATOR_EMAIL', 'ada@example.com', /go together/],
]

for (const [name, value, words] of refused) {
  test(`${name}=${value} is refused with words`, () => {
    assert.throws(() => readConfig({ [name]: value }), words)
  })
}

const accepted: readonly (readonly [string, string])[] = [
  ['LATCHKEY_PUBLIC_URL', 'https://mcp.example.com'],
  ['LATCHKEY_PUBLIC_URL', 'https://mcp.example.com/'],
  ['LATCHKEY_PUBLIC_URL', 'http://127.0.0.1:9000'],
  ['LATCHKEY_PUBLIC_URL', 'http://[::1]:9000'],
  ['LATCHKEY_LISTEN', '[::1]:8787'],
  ['LATCHKEY_LISTEN', '0.0.0.0:80'],
  ['LATCHKEY_CODE_LIFETIME_S', '600'],
  ['LATCHKEY_DISCOVERY_CACHE_S', '300'],
]

for (const [name, value] of accepted) {
  test(`${name}=${value} is taken`, () => {
    assert.doesNotThrow(() => readConfig({ [name]: value }))
  })
}

test('a file gives what the environment does not', (t) => {
  const file = settingsFile(t, 'LATCHKEY_LOG: debug\nLATCHKEY_CODE_LIFETIME_S: 30\n')
  assert.equal(readConfig({ LATCHKEY_CONFIG: file }).codeLifetimeMs, 30_000)
  assert.equal(readConfig({ LATCHKEY_CONFIG: file, LATCHKEY_LOG: 'warn' }).logLevel, 'warn')
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
