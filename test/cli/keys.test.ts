// `latchkey keys …` beside a running server.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { publishedAheadMs } from '../../src/issuer/signing-keys.ts'
import { openBeside, openShell } from './command.ts'
import type { Shell } from './command.ts'

test('the keys of the tenant and the master keys are told, and the next key is let sign', async (t) => {
  const shell = await openShell(t)
  await shell.start()
  const published = await jwks(shell)
  const { tenants, masterKeys } = await shell.json('keys', 'status')
  assert.equal(tenants.length, 1)
  assert.deepEqual(
    tenants[0].keys.map(({ state }: { state: string }) => state),
    ['active', 'next'],
  )
  assert.deepEqual(
    tenants[0].keys.map(({ kid }: { kid: string }) => kid),
    published,
  )
  assert.deepEqual(
    masterKeys.map(({ state }: { state: string }) => state),
    ['active'],
  )
  const words = await shell.run('keys', 'status')
  assert.match(words.out, new RegExp(`${published[0]} +signs`))
  assert.match(words.out, /in use: seals and opens/)
  assert.doesNotMatch(words.out, /"d"|v1\./)

  const asked = await shell.json('keys', 'rotate')
  assert.equal(asked.kid, published[1])
  assert.ok(Math.abs(asked.signsFrom - Date.now() - publishedAheadMs) < 60_000, 'an hour from now')
  const said = await shell.run('keys', 'rotate')
  assert.match(said.out, /signs from 20\d\d-\d\d-\d\d \d\d:\d\d UTC on/)
  assert.match((await shell.run('keys', 'status')).out, /next, published +\S+ \S+ +signs from 20/)

  const { db } = await openBeside(t, shell)
  await db.updateTable('signing_keys').set({ created_at: 1 }).execute()
  assert.match((await shell.run('keys', 'rotate')).out, /signs from now on/)
  const after = (await shell.json('keys', 'status')).tenants[0].keys
  assert.deepEqual(
    after.map(({ state }: { state: string }) => state),
    ['retired', 'active', 'next'],
  )
  assert.equal((await jwks(shell)).length, 3, 'a running server sees it at once')
  const entry = await db
    .selectFrom('journal_entries')
    .select('actor_kind')
    .where('type', '=', 'signing_key.rotated')
    .execute()
  assert.deepEqual(entry, [{ actor_kind: 'operator' }])
})

test('a master key that is not given any more is told', async (t) => {
  const shell = await openShell(t)
  await shell.run('migrate')
  await shell.json('keys', 'status')
  const { db } = await openBeside(t, shell)
  await db.insertInto('master_keys').values({ key_id: 'old', first_used_at: 1 }).execute()
  const { masterKeys } = await shell.json('keys', 'status')
  assert.deepEqual(
    masterKeys.map(({ state }: { state: string }) => state),
    ['absent', 'active'],
  )
  assert.match((await shell.run('keys', 'status')).out, /old +not given: what it sealed cannot/)
  const nobody = await shell.run('keys', 'rotate', '--tenant', 'nobody')
  assert.deepEqual(
    [nobody.code, nobody.error],
    [1, 'There is no tenant nobody. "latchkey tenants list" shows all.\n'],
  )
})

async function jwks({ origin }: Shell): Promise<readonly string[]> {
  const answer = await fetch(`${origin}/oauth/jwks`)
  const { keys } = (await answer.json()) as { readonly keys: readonly { readonly kid: string }[] } // RFC 7517 §5
  return keys.map(({ kid }) => kid)
}
