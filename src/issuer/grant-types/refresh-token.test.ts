import assert from 'node:assert/strict'
import { onEveryDatabase } from '../../../test/on-every-database.ts'
import { verifies } from '../../../test/requirements.ts'
import {
  createRig,
  createTwins,
  isGood,
  obtainTokens,
  refreshForm,
  refused,
  register,
  tokens,
} from '../issuer.rig.ts'
import type { Rig } from '../issuer.rig.ts'

const secondMs = 1000
const dayMs = 86_400 * secondMs

onEveryDatabase('a refresh gives a new access token and a new refresh token', async (t, store) => {
  verifies(t, 'S3-20', 'S3-22')
  const { rig, client, first } = await start(t, store)
  const second = await tokens(rig, refreshForm(client, first.refresh))
  assert.notEqual(second.access, first.access)
  assert.notEqual(second.refresh, first.refresh)
  assert.equal(await isGood(rig, second.access), true)
  const third = await tokens(rig, refreshForm(client, second.refresh))
  assert.equal(await isGood(rig, third.access), true)
  assert.ok((await rig.journalTypes()).includes('token.refreshed'))
})

onEveryDatabase('a refresh token lives for thirty days from its making', async (t, store) => {
  verifies(t, 'S3-23', 'S3-24')
  const { rig, client, first } = await start(t, store)
  await rig.clock.advance(30 * dayMs - 1)
  const second = await tokens(rig, refreshForm(client, first.refresh))
  await rig.clock.advance(30 * dayMs)
  await refused(tokens(rig, refreshForm(client, second.refresh)), 'invalid_grant')
  const types = await rig.journalTypes()
  assert.equal(types.includes('token.reuse_detected'), false, 'expired is not misused')
})

onEveryDatabase('for thirty seconds a spent token returns the same successor', async (t, store) => {
  verifies(t, 'S3-22')
  const { rig, client, first } = await start(t, store)
  const second = await tokens(rig, refreshForm(client, first.refresh))
  await rig.clock.advance(30 * secondMs - 1)
  const again = await tokens(rig, refreshForm(client, first.refresh))
  assert.deepEqual(again, second)
  assert.ok((await tokens(rig, refreshForm(client, again.refresh))).access)
})

onEveryDatabase(
  'after thirty seconds a spent token ends the family: row 26; X-06',
  async (t, store) => {
    verifies(t, 'S3-22')
    const { rig, client, first } = await start(t, store)
    const second = await tokens(rig, refreshForm(client, first.refresh))
    await rig.clock.advance(30 * secondMs)
    await refused(tokens(rig, refreshForm(client, first.refresh)), 'invalid_grant')
    await familyIsOver(rig, client, [first, second])
  },
)

onEveryDatabase(
  'once its successor was used a spent token ends the family: X-06',
  async (t, store) => {
    verifies(t, 'S3-22')
    const { rig, client, first } = await start(t, store)
    const second = await tokens(rig, refreshForm(client, first.refresh))
    const third = await tokens(rig, refreshForm(client, second.refresh))
    await refused(tokens(rig, refreshForm(client, first.refresh)), 'invalid_grant')
    await familyIsOver(rig, client, [first, second, third])
  },
)

onEveryDatabase(
  'fifty refreshes at once, in two processes, all get one successor: X-06',
  async (t, store, openAnother) => {
    verifies(t, 'S3-22', 'S3-42')
    const [rig, other] = await createTwins(t, store, openAnother)
    const client = await register(rig)
    const first = await obtainTokens(rig, await rig.signIn(), client)
    const attempts = Array.from({ length: 50 }, (_, index) =>
      tokens(index % 2 === 0 ? rig : other, refreshForm(client, first.refresh)),
    )
    const answers = await Promise.all(attempts)
    assert.equal(new Set(answers.map(({ refresh }) => refresh)).size, 1)
    assert.equal(new Set(answers.map(({ access }) => access)).size, 1)
    const rows = await rig.db
      .selectFrom('refresh_tokens')
      .select('generation')
      .orderBy('generation')
      .execute()
    assert.deepEqual(
      rows.map(({ generation }) => generation),
      [1, 2],
    )
    assert.equal(await isGood(other, answers[0]?.access ?? ''), true)
  },
)

onEveryDatabase('a late reuse by fifty at once ends the family once', async (t, store) => {
  const { rig, client, first } = await start(t, store)
  await tokens(rig, refreshForm(client, first.refresh))
  await rig.clock.advance(60 * secondMs)
  const attempts = Array.from({ length: 50 }, () => tokens(rig, refreshForm(client, first.refresh)))
  await Promise.all(attempts.map((attempt) => refused(attempt, 'invalid_grant')))
  const types = await rig.journalTypes()
  assert.equal(types.filter((type) => type === 'token.reuse_detected').length, 1)
})

onEveryDatabase(
  'the answer that waits for a repetition opens with the old token only',
  async (t, store) => {
    verifies(t, 'S3-43')
    const { rig, client, first } = await start(t, store)
    const second = await tokens(rig, refreshForm(client, first.refresh))
    const rows = await rig.db.selectFrom('refresh_tokens').selectAll().execute()
    const stored = JSON.stringify(rows)
    assert.ok(rows.some(({ replay_sealed }) => replay_sealed !== null))
    for (const secret of [first.refresh, second.refresh, second.access]) {
      assert.equal(stored.includes(secret), false)
    }
  },
)

onEveryDatabase(
  'scope and resource are judged before anything is spent: row 27; P-09, X-38',
  async (t, store) => {
    verifies(t, 'S3-22', 'S3-52')
    const rig = await createRig(t, store)
    const session = await rig.signIn()
    const client = await register(rig)
    const resource = 'https://auth.test/memories/mcp'
    const scope = 'mcp memories:read'
    const first = await obtainTokens(rig, session, client, { resource, scope })
    const ask = (token: string, changes: Record<string, string>) =>
      tokens(rig, refreshForm(client, token, changes))

    await refused(ask(first.refresh, { scope: 'mcp memories:write' }), 'invalid_scope')
    await refused(ask(first.refresh, { scope: 'MCP' }), 'invalid_scope')
    await refused(ask(first.refresh, { resource: 'https://auth.test/mcp' }), 'invalid_target')
    await refused(ask(first.refresh, { resource: 'https://evil.test/mcp' }), 'invalid_target')
    const untouched = await rig.db.selectFrom('refresh_tokens').selectAll().execute()
    assert.deepEqual(
      untouched.map(({ claimed_at }) => claimed_at),
      [null],
    )

    const less = await ask(first.refresh, { scope: 'memories:read', resource })
    assert.equal(less.body['scope'], 'memories:read')
    const whole = await ask(less.refresh, {})
    assert.equal(whole.body['scope'], scope, 'the refresh token keeps what was granted')
  },
)

onEveryDatabase('a foreign or unknown refresh token changes nothing: row 26', async (t, store) => {
  verifies(t, 'S3-23')
  const { rig, client, first } = await start(t, store)
  const other = await register(rig, { client_name: 'Other' })
  await refused(tokens(rig, refreshForm(other, first.refresh)), 'invalid_grant')
  await refused(tokens(rig, refreshForm(client, `${first.refresh}x`)), 'invalid_grant')
  const second = await tokens(rig, refreshForm(client, first.refresh))
  await rig.clock.advance(60 * secondMs)
  await refused(tokens(rig, refreshForm(other, first.refresh)), 'invalid_grant')
  assert.equal(await isGood(rig, second.access), true)
})

onEveryDatabase('two devices with one client have two families: P-11', async (t, store) => {
  const { rig, client, first } = await start(t, store)
  const other = await obtainTokens(rig, await rig.signIn(), client, { prompt: 'consent' })
  await tokens(rig, refreshForm(client, first.refresh))
  await rig.clock.advance(60 * secondMs)
  await refused(tokens(rig, refreshForm(client, first.refresh)), 'invalid_grant')
  assert.ok((await tokens(rig, refreshForm(client, other.refresh))).access)
})

onEveryDatabase('tokens stay good when the keys rotate', async (t, store) => {
  const old = { id: 'old', key: Buffer.alloc(32, 1) }
  const before = await createRig(t, store, { masterKeys: [old] })
  const session = await before.signIn()
  const client = await register(before, { token_endpoint_auth_method: 'client_secret_post' })
  const first = await obtainTokens(before, session, client)
  const masterKeys = [{ id: 'new', key: Buffer.alloc(32, 2) }, old]
  const after = await createRig(t, store, { masterKeys })
  assert.equal(await isGood(after, first.access), true)
  const second = await tokens(after, refreshForm(client, first.refresh))
  assert.deepEqual(await tokens(after, refreshForm(client, first.refresh)), second)
})

async function start(t: Parameters<typeof createRig>[0], store: Parameters<typeof createRig>[1]) {
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const client = await register(rig)
  return { rig, client, first: await obtainTokens(rig, session, client) }
}

async function familyIsOver(
  rig: Rig,
  client: Awaited<ReturnType<typeof register>>,
  family: readonly { readonly access: string; readonly refresh: string }[],
): Promise<void> {
  for (const { access, refresh } of family) {
    assert.equal(await isGood(rig, access), false)
    await refused(tokens(rig, refreshForm(client, refresh)), 'invalid_grant')
  }
  const types = await rig.journalTypes()
  assert.equal(types.filter((type) => type === 'token.reuse_detected').length, 1)
  assert.equal(types.filter((type) => type === 'grant.revoked').length, 1)
}
