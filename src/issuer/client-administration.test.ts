import assert from 'node:assert/strict'
import { isFault } from '../base/fault.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import {
  createRig,
  isGood,
  obtainCode,
  obtainTokens,
  codeForm,
  refreshForm,
  redirectUri,
  refused,
  register,
  tokens,
} from './issuer.rig.ts'
import type { Rig, RigClient } from './issuer.rig.ts'

const hourMs = 3_600_000

onEveryDatabase(
  'a client made by hand is listed with its use, and never with its secret',
  async (t, store) => {
    verifies(t, 'S3-3')
    const rig = await createRig(t, store)
    const { by, client } = await make(rig)
    const page = await rig.issuer.clients.list(by)
    assert.deepEqual(page.items, [
      {
        id: client.id,
        kind: 'manual',
        name: 'Backend',
        redirectUris: [redirectUri],
        scopes: ['mcp'],
        authMethod: 'client_secret_post',
        grantTypes: ['authorization_code', 'refresh_token'],
        dpopBoundAccessTokens: false,
        disabled: false,
        createdAt: rig.clock.now(),
        secretsAlive: 1,
        activeGrants: 0,
      },
    ])
    assert.equal(JSON.stringify(page).includes('mcp_cs_'), false)
    const person = await rig.signIn()
    await obtainTokens(rig, person, client)
    const [used] = (await rig.issuer.clients.list(by)).items
    assert.equal(used?.activeGrants, 1)
    assert.equal(used?.lastUsedAt, undefined)
  },
)

onEveryDatabase('lists come in pages, whatever the ids look like', async (t, store) => {
  const rig = await createRig(t, store)
  const by = { tenant: rig.tenant }
  for (let count = 0; count < 5; count += 1) {
    const client = { name: `c${count}`, redirectUris: [redirectUri], authMethod: 'none' } as const
    await rig.issuer.clients.create(by, client)
    if (count % 2 === 0) await rig.clock.advance(1)
  }
  await rig.db
    .updateTable('clients')
    .set({ id: 'https://app.test/client?a=b' })
    .where('name', '=', 'c1')
    .execute()
  const seen: string[] = []
  let cursor: string | undefined
  do {
    const page = await rig.issuer.clients.list(by, {
      limit: 2,
      ...(cursor === undefined ? {} : { cursor }),
    })
    seen.push(...page.items.map(({ name }) => name))
    cursor = page.nextCursor
  } while (cursor !== undefined)
  assert.deepEqual(seen.toSorted(), ['c0', 'c1', 'c2', 'c3', 'c4'])
  for (const odd of ['x', '1.', '1.AAAA', '-1.YQ', `1.${'Y'.repeat(4000)}`]) {
    await refused(rig.issuer.clients.list(by, { cursor: odd }), 'invalid_input')
  }
})

onEveryDatabase('a plain person manages no client', async (t, store) => {
  const rig = await createRig(t, store)
  const { client } = await make(rig)
  const person = await rig.signIn()
  const { clients } = rig.issuer
  await refused(clients.list(person), 'forbidden')
  await refused(clients.get(person, client.id), 'forbidden')
  await refused(clients.update(person, client.id, { disabled: true }), 'forbidden')
  await refused(clients.rotateSecret(person, client.id), 'forbidden')
  await refused(clients.remove(person, client.id), 'forbidden')
})

onEveryDatabase('who is not there cannot be managed', async (t, store) => {
  const rig = await createRig(t, store)
  const by = { tenant: rig.tenant }
  const { clients } = rig.issuer
  for (const id of ['', 'mcp_oauth_nobody', 'a\0b', 'ü', 'x'.repeat(3000)]) {
    await refused(clients.get(by, id), 'not_found')
    await refused(clients.update(by, id, { name: 'x' }), 'not_found')
    await refused(clients.rotateSecret(by, id), 'not_found')
    await refused(clients.remove(by, id), 'not_found')
  }
})

onEveryDatabase(
  'a client that is switched off stops at once, and goes on when it is switched on',
  async (t, store) => {
    verifies(t, 'S3-3')
    const rig = await createRig(t, store)
    const { by, client } = await make(rig)
    const person = await rig.signIn()
    const { access, refresh } = await obtainTokens(rig, person, client)
    await rig.issuer.clients.update(by, client.id, { disabled: true })
    assert.equal(await isGood(rig, access), false)
    await refused(tokens(rig, refreshForm(client, refresh)), 'invalid_client')
    await refused(obtainCode(rig, person, client), 'unauthorized_client')

    await rig.issuer.clients.update(by, client.id, { disabled: true })
    await rig.issuer.clients.update(by, client.id, { disabled: false })
    assert.equal(await isGood(rig, access), true)
    await tokens(rig, refreshForm(client, refresh))
    const types = await rig.journalTypes()
    const switches = types.filter((type) => /^client\.(?:dis|en)abled$/.test(type))
    assert.deepEqual(switches, ['client.disabled', 'client.enabled'])
  },
)

onEveryDatabase(
  'a changed description is read by the same rules as a new one',
  async (t, store) => {
    const rig = await createRig(t, store)
    const { by, client } = await make(rig)
    const { clients } = rig.issuer
    const changed = await clients.update(by, client.id, {
      name: 'Back end',
      redirectUris: ['https://app.test/new'],
      scopes: [],
    })
    assert.deepEqual(
      [changed.name, changed.redirectUris, changed.scopes],
      ['Back end', ['https://app.test/new'], []],
    )
    const person = await rig.signIn()
    await refused(obtainCode(rig, person, client), 'invalid_redirect_uri')

    const detailOf = async (work: Promise<unknown>) => {
      const fault = await work.then(
        () => assert.fail('it was accepted'),
        (error: unknown) => error,
      )
      assert.ok(isFault(fault) && fault.code === 'invalid_input', String(fault))
      return Object.keys(fault.detail ?? {})
    }
    const tell = (change: object) => detailOf(clients.update(by, client.id, change))
    assert.deepEqual(await tell({ redirectUris: ['https://app.test/#x'] }), ['redirectUris'])
    assert.deepEqual(await tell({ redirectUris: [] }), ['redirectUris'])
    assert.deepEqual(await tell({ scopes: ['nonsense'] }), ['scopes'])
    const same = await clients.get(by, client.id)
    assert.deepEqual(same, { ...changed, activeGrants: same.activeGrants })
    assert.deepEqual(
      await detailOf(
        clients.create(by, { name: 'x', redirectUris: [redirectUri], scopes: ['nonsense'] }),
      ),
      ['scopes'],
    )
  },
)

onEveryDatabase('a client that goes takes its tokens with it', async (t, store) => {
  const rig = await createRig(t, store)
  const { by, client } = await make(rig)
  const { access, refresh } = await obtainTokens(rig, await rig.signIn(), client)
  await rig.issuer.clients.remove(by, client.id)
  assert.equal(await isGood(rig, access), false)
  await refused(tokens(rig, refreshForm(client, refresh)), 'invalid_client')
  await refused(rig.issuer.clients.get(by, client.id), 'not_found')
  assert.equal((await rig.journalTypes()).at(-1), 'client.deleted')
})

onEveryDatabase(
  'after a rotation both secrets work until the overlap ends, to the millisecond',
  async (t, store) => {
    const rig = await createRig(t, store)
    const { by, client } = await make(rig)
    const person = await rig.signIn()
    const rotated = await rig.issuer.clients.rotateSecret(by, client.id)
    const next = { id: client.id, secret: rotated.secret?.reveal() }
    assert.notEqual(next.secret, client.secret)
    assert.equal(rotated.previousSecretExpiresAt, rig.clock.now() + 24 * hourMs)
    assert.equal(rotated.client.secretsAlive, 2)

    await rig.clock.advance(24 * hourMs - 1)
    const { refresh } = await obtainTokens(rig, person, client)
    await rig.clock.advance(1)
    await refused(tokens(rig, refreshForm(client, refresh)), 'invalid_client')
    await tokens(rig, refreshForm(next, refresh))
    assert.equal((await rig.issuer.clients.get(by, client.id)).secretsAlive, 1)
  },
)

onEveryDatabase(
  'a second rotation ends the oldest secret at once; no overlap ends all before',
  async (t, store) => {
    const rig = await createRig(t, store)
    const { by, client } = await make(rig)
    const second = await rotate(rig, client)
    const third = await rotate(rig, client)
    assert.deepEqual(await working(rig, [client, second, third]), [false, true, true])
    const { secret } = await rig.issuer.clients.rotateSecret(by, client.id, { overlapMs: 0 })
    const last = { id: client.id, secret: secret?.reveal() }
    assert.deepEqual(await working(rig, [client, second, third, last]), [false, false, false, true])
  },
)

onEveryDatabase(
  'of fifty rotations at once, two secrets are alive at the end',
  async (t, store) => {
    const rig = await createRig(t, store)
    const { by, client } = await make(rig)
    const made = await Promise.all(Array.from({ length: 50 }, () => rotate(rig, client)))
    const shown = await rig.issuer.clients.get(by, client.id)
    assert.equal(shown.secretsAlive, 2)
    const alive = (await working(rig, [client, ...made])).filter((isAlive) => isAlive)
    assert.equal(alive.length, 2)
  },
)

onEveryDatabase('a client without a secret has none to rotate', async (t, store) => {
  const rig = await createRig(t, store)
  const { id } = await register(rig)
  await refused(rig.issuer.clients.rotateSecret({ tenant: rig.tenant }, id), 'invalid_input')
})

onEveryDatabase('what an administrator does to a client is in the journal', async (t, store) => {
  const rig = await createRig(t, store)
  const { by, client } = await make(rig)
  await rig.issuer.clients.update(by, client.id, { name: 'Other', scopes: [] })
  await rig.issuer.clients.rotateSecret(by, client.id)
  const rows = await rig.db
    .selectFrom('journal_entries')
    .select(['type', 'actor_kind', 'subject_id', 'data'])
    .execute()
  assert.ok(rows.every((row) => row.actor_kind === 'operator' && row.subject_id === client.id))
  assert.deepEqual(
    rows.map(({ type }) => type),
    ['client.registered', 'client.updated', 'client.secret_rotated'],
  )
  assert.deepEqual(JSON.parse(rows[1]?.data ?? ''), { changed: ['name', 'scopes'] })
})

/** A confidential client made by the operator. */
async function make(rig: Rig) {
  const by = { tenant: rig.tenant }
  const { client, secret } = await rig.issuer.clients.create(by, {
    name: 'Backend',
    redirectUris: [redirectUri],
    authMethod: 'client_secret_post',
    scopes: ['mcp'],
  })
  return { by, client: { id: client.id, secret: secret?.reveal() } }
}

async function rotate(rig: Rig, { id }: RigClient): Promise<RigClient> {
  const { secret } = await rig.issuer.clients.rotateSecret({ tenant: rig.tenant }, id)
  return { id, secret: secret?.reveal() }
}

/** Which of these prove their client: a wrong code is only looked at after the proof. */
function working(rig: Rig, clients: readonly RigClient[]): Promise<readonly boolean[]> {
  return Promise.all(
    clients.map(async (client) => {
      const error = await tokens(rig, codeForm(client, 'auth_nobody')).catch((e: unknown) => e)
      assert.ok(isFault(error), String(error))
      return error.code === 'invalid_grant'
    }),
  )
}
