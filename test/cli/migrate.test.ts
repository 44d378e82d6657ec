// `latchkey migrate` as an operator runs it, on both databases.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { commandDatabases } from '../command-databases.ts'
import { verifies } from '../requirements.ts'
import { openShell } from './command.ts'

const fourTables = ['clients', 'codes', 'access_tokens', 'refresh_tokens']

for (const [database, settle] of Object.entries(commandDatabases)) {
  test(`a dry run plans and changes nothing, a run makes all, and twice is once (${database})`, async (t) => {
    verifies(t, 'S3-2', 'A3-1')
    const where = await settle(t)
    if (where === undefined) return t.skip('a command needs a Postgres server')
    const shell = await openShell(t, where)
    for (let count = 0; count < 2; count += 1) {
      const dry = await shell.run('migrate', '--dry-run')
      assert.equal(dry.code, 0, dry.error)
      assert.match(dry.out, /^Would apply: 0001-beginning, /)
      for (const table of fourTables) assert.match(dry.out, new RegExp(`^  table ${table}$`, 'm'))
      assert.match(dry.out, /^  index access_tokens_by_expires_at$/m)
      assert.match(dry.out, /^  column servers\.token_format$/m)
      assert.match(dry.out, /^The database has 0 tables\.$/m)
    }
    assert.equal(existsSync(shell.environment['LATCHKEY_DATA'] ?? ''), false)

    const wet = await shell.run('migrate')
    assert.equal(wet.code, 0, wet.error)
    assert.match(wet.out, /^Applied: 0001-beginning, /)
    const made = [...wet.out.matchAll(/^  table (?<name>\w+)$/gm)]
      .map((found) => String(found[1]))
      .filter((name) => name !== 'held_credentials') // It takes the place and name of another.
    const [, listed = ''] = wet.out.split(/^The database has \d+ tables:$/m)
    const has = listed.trim().split(/\s+/)
    assert.deepEqual(has, [...made, 'migrations'].toSorted(), 'each is printed, and each is there')

    const again = await shell.json('migrate')
    assert.deepEqual([again.applied, again.pending, again.steps], [[], [], []])
    assert.deepEqual(again.tables, has)
    assert.match(
      (await shell.run('migrate')).out,
      /^Nothing to do\.\n\nThe database has \d+ tables:/,
    )
    const dry = await shell.json('migrate', '--dry-run')
    assert.deepEqual([dry.applied, dry.pending, dry.tables], [[], [], has])
  })
}

test('a database that never answers is given up after ten seconds, with 1', async (t) => {
  verifies(t, 'S3-2')
  const silent = createServer(() => {})
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  t.after(() => silent.close())
  const { port } = silent.address() as AddressInfo // a TCP listener has one
  const shell = await openShell(t, {
    LATCHKEY_DATABASE_URL: `postgres://nobody:pa55word@127.0.0.1:${port}/x`,
  })
  const startedAt = performance.now()
  const { code, out, error } = await shell.run('migrate')
  const tookMs = performance.now() - startedAt
  assert.deepEqual([code, out], [1, ''])
  assert.match(error, /^LATCHKEY_DATABASE_URL: (?!.*pa55word)/)
  assert.ok(tookMs > 9_000 && tookMs < 25_000, `after ${tookMs} ms`)
})
