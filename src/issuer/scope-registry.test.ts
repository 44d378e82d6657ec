// The scopes of a tenant: what an administrator may say about them, who sees it, and what stays as it is.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { randomSecret, systemRandom } from '../base/random.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { createRig, refused, register } from './issuer.rig.ts'
import { checkScopeInput, checkScopeName } from './scope-input.ts'
import { ownScopesMax } from './scope-registry.ts'

onEveryDatabase('a tenant adds scopes and says all of them in its own words', async (t, store) => {
  verifies(t, 'S3-26', 'S3-52')
  const rig = await createRig(t, store)
  const { tenant, issuer } = rig
  const { scopes } = issuer
  const by = { tenant }
  const before = await scopes.list(by)
  assert.deepEqual(
    before.slice(1, 3).map(({ name, words, icon }) => [name, words, icon]),
    [
      ['memories:read', 'Read your memories and related data', '📖'],
      ['memories:write', 'Create, update, and delete your memories', '✏️'],
    ],
  )
  assert.ok(before.every(({ isBuiltIn, isOwn }) => isBuiltIn && !isOwn))

  const made = await scopes.create(by, {
    name: 'memories:admin',
    words: ' Do everything with your memories ',
    includes: ['memories:read', 'memories:write', 'memories:read'],
    isUsual: false,
  })
  assert.equal(made.words, 'Do everything with your memories')
  assert.deepEqual(made.includes, ['memories:read', 'memories:write'])
  await scopes.update(by, 'memories:read', { words: 'Deine Erinnerungen lesen' })
  await scopes.update(by, 'memories:read', { icon: '👀' })
  const shown = await scopes.show(tenant, ['gone', 'memories:admin', 'memories:read'])
  assert.deepEqual(shown, [
    { name: 'memories:read', words: 'Deine Erinnerungen lesen', icon: '👀' },
    {
      name: 'memories:admin',
      words: 'Do everything with your memories',
      icon: '🔑',
      holds: ['Deine Erinnerungen lesen', 'Create, update, and delete your memories'],
    },
    { name: 'gone', words: 'gone', icon: '🔑' },
  ])
  assert.equal((await scopes.list(by)).length, before.length + 1)

  await scopes.remove(by, 'memories:read')
  assert.deepEqual((await scopes.list(by)).slice(0, before.length), before)
  await refused(scopes.remove(by, 'memories:read'), 'not_found')
  await scopes.remove(by, 'memories:admin')
  await refused(scopes.remove(by, 'memories:admin'), 'not_found')
  await refused(scopes.update(by, 'memories:admin', { icon: 'x' }), 'not_found')
  await refused(scopes.update(by, 'a\0b', { icon: 'x' }), 'not_found')
  assert.deepEqual(await scopes.list(by), before)
  assert.deepEqual(
    (await rig.journalTypes()).filter((type) => type.startsWith('scope.')),
    ['scope.created', 'scope.updated', 'scope.updated', 'scope.updated', 'scope.deleted'],
  )
})

onEveryDatabase('what would make no sense is refused', async (t, store) => {
  const { tenant, issuer, signIn } = await createRig(t, store)
  const { scopes } = issuer
  const by = { tenant }
  await scopes.create(by, { name: 'a', words: 'A' })
  await scopes.create(by, { name: 'b', words: 'B', includes: ['a'] })
  await refused(scopes.create(by, { name: 'a', words: 'Again' }), 'conflict')
  await refused(scopes.create(by, { name: 'mcp', words: 'Ours' }), 'conflict')
  await refused(scopes.remove(by, 'a'), 'conflict')
  for (const includes of [['nothing'], ['c'], ['openid'], ['mcp']]) {
    await refused(scopes.create(by, { name: 'c', words: 'C', includes }), 'invalid_input')
  }
  await refused(scopes.update(by, 'a', { includes: ['a'] }), 'invalid_input')
  await refused(scopes.update(by, 'openid', { isUsual: false }), 'invalid_input')
  await refused(scopes.update(by, 'mcp', { includes: ['a'] }), 'invalid_input')
  const user = (await signIn()).user
  await refused(scopes.create({ tenant, user }, { name: 'd', words: 'D' }), 'forbidden')
  await refused(scopes.list({ tenant, user }), 'forbidden')
})

onEveryDatabase('fifty who add the same scope at once make it once', async (t, store) => {
  const { tenant, issuer } = await createRig(t, store)
  const outcomes = await Promise.allSettled(
    Array.from({ length: 50 }, () => issuer.scopes.create({ tenant }, { name: 'x', words: 'X' })),
  )
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
  const rows = await store.db.selectFrom('scopes').selectAll().execute()
  assert.equal(rows.length, 1)
})

onEveryDatabase('there are so many and no more', async (t, store) => {
  const { db, tenant, issuer, clock } = await createRig(t, store)
  const row = { tenant_id: tenant.id, words: 'w', icon: 'i', is_usual: 1, includes: '[]' }
  const times = { created_at: clock.now(), updated_at: clock.now(), created_by: null }
  const rows = Array.from({ length: ownScopesMax - 1 }, (_, index) => ({
    ...row,
    ...times,
    name: `s${index}`,
  }))
  await db.insertInto('scopes').values(rows).execute()
  await issuer.scopes.create({ tenant }, { name: 'last', words: 'The last one' })
  await refused(issuer.scopes.create({ tenant }, { name: 'more', words: 'x' }), 'invalid_input')
})

onEveryDatabase('a client may register for a scope as soon as it is there', async (t, store) => {
  const rig = await createRig(t, store)
  const { tenant, issuer } = rig
  const scopeOf = async () => {
    const { id } = await register(rig, {
      scope: 'notes:read unheard',
      client_name: `${Math.random()}`,
    })
    return (await issuer.clients.get({ tenant }, id)).scopes
  }
  assert.deepEqual(await scopeOf(), [])
  await issuer.scopes.create({ tenant }, { name: 'notes:read', words: 'Read your notes' })
  assert.deepEqual(await scopeOf(), ['notes:read'])
})

test('a name follows RFC 6749 §3.3; words and icons hide nothing (X-12)', (t) => {
  verifies(t, 'X-12')
  const secret = randomSecret(systemRandom, 'mcp_at_').reveal()
  const names = ['', 'a b', 'a"b', 'a\\b', 'é', 'a\n', 'x'.repeat(101), 'offline_access', secret]
  for (const name of names) assert.throws(() => checkScopeName(name), /./, JSON.stringify(name))
  for (const name of ['!', '~', 'a:b/c', 'https://x.example/scope', 'x'.repeat(100)]) {
    assert.equal(checkScopeName(name), name)
  }
  const words = ['', ' ', 'a\nb', 'a\u202Eb', 'a\u2028b', 'a\0', 'a\u200Bb', 'x'.repeat(201)]
  for (const one of words) assert.throws(() => checkScopeInput({ words: one }), JSON.stringify(one))
  checkScopeInput({ words: 'x'.repeat(200) })
  const icons = [
    '',
    ' ',
    'ab',
    '📖📖',
    '\u200D',
    '\u202E',
    '\u0301',
    'e' + '\u0301'.repeat(16),
    '\n',
  ]
  for (const icon of icons) assert.throws(() => checkScopeInput({ icon }), JSON.stringify(icon))
  for (const icon of ['📖', '✏️', '👨‍👩‍👧‍👦', '🏴󠁧󠁢󠁳󠁣󠁴󠁿', '🇩🇪', 'A', '&', '1️⃣']) checkScopeInput({ icon })
})
