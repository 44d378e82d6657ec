// People: who exists, how they prove it, how long they stay signed in, and that none of it crosses a tenant.
import assert from 'node:assert/strict'
import type { KyselyPlugin } from 'kysely'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { createManualClock } from '../base/clock.ts'
import { isFault } from '../base/fault.ts'
import { createKeyring, parseMasterKeys } from '../base/keyring.ts'
import { systemRandom } from '../base/random.ts'
import { Secret } from '../base/secret.ts'
import { createJournal } from '../journal/entries.ts'
import type { Store } from '../store/database.ts'
import { createApiKeyAdministration } from './api-key-administration.ts'
import { createApiKeys } from './api-keys.ts'
import { operatorAtTheMachine } from './principal.ts'
import { createPasswords } from './passwords.ts'
import type { SessionPrincipal } from './principal.ts'
import { createSessions } from './sessions.ts'
import { createSetup } from './setup.ts'
import { createTenants } from './tenants.ts'
import type { Tenant } from './tenants.ts'
import { createUsers } from './users.ts'
import type { User } from './users.ts'

const password = new Secret('correct horse battery staple')
const hourMs = 3_600_000

async function createRig(store: Store) {
  const clock = createManualClock()
  const random = systemRandom
  const key = Buffer.alloc(32, 7).toString('base64url')
  const keyring = createKeyring({ random }, parseMasterKeys(key))
  const { db } = store
  const journal = createJournal({ db, clock, random, keyring })
  const ground = { db, clock, random, keyring, journal }
  const tenants = createTenants(ground)
  const users = createUsers({ ...ground, passwords: createPasswords(ground) })
  const sessions = createSessions(ground)
  const setup = createSetup({ ...ground, users })
  const tenant = await tenants.ensureDefault('https://latchkey.test')
  const apiKeys = createApiKeys(ground)
  const apiKeyAdministration = createApiKeyAdministration(ground)
  return { ...ground, tenants, users, sessions, setup, apiKeys, apiKeyAdministration, tenant }
}

async function signedIn(rig: Awaited<ReturnType<typeof createRig>>, email: string) {
  const { tenant, users, sessions } = rig
  const user = await users.create({ tenant, email, password, role: 'user' })
  const { cookie } = await sessions.begin(tenant, user)
  const principal = await sessions.find(tenant, cookie)
  assert.ok(principal)
  return { user, cookie, principal }
}

function withCode(code: string) {
  return (thrown: unknown) => isFault(thrown) && thrown.code === code
}

onEveryDatabase(
  'a person is known by e-mail and password, and by nothing near them',
  async (_t, store) => {
    const { tenant, users } = await createRig(store)
    const made = await users.create({ tenant, email: ' Ada@Example.com ', password, role: 'user' })

    assert.equal(made.email, 'ada@example.com')
    assert.equal((await users.verifyPassword(tenant, 'ADA@example.com', password))?.id, made.id)
    const wrong = new Secret('correct horse battery stapl')
    assert.equal(await users.verifyPassword(tenant, 'ada@example.com', wrong), undefined)
    assert.equal(await users.verifyPassword(tenant, 'nobody@example.com', password), undefined)
    const { hash } = await store.db.selectFrom('passwords').select('hash').executeTakeFirstOrThrow()
    assert.match(hash, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  },
)

onEveryDatabase(
  'nobody, a person and one who has no password cost the same work [X-20]',
  async (t, store) => {
    verifies(t, 'X-20')
    const rig = await createRig(store)
    const { tenant } = rig
    await rig.users.create({ tenant, email: 'ada@example.com', password, role: 'user' })
    await rig.users.create({ tenant, email: 'eve@example.com', role: 'user' })
    const work: string[] = []
    const plugin: KyselyPlugin = {
      transformQuery: ({ node }) => {
        work.push(node.kind)
        return node
      },
      transformResult: async ({ result }) => result,
    }
    const passwords = createPasswords(rig)
    const users = createUsers({
      ...rig,
      db: store.db.withPlugin(plugin),
      passwords: {
        ...passwords,
        matches: (given, hash) => {
          work.push('hash')
          return passwords.matches(given, hash)
        },
      },
    })
    for (const email of ['ada@example.com', 'eve@example.com', 'nobody@example.com']) {
      work.length = 0
      const wrong = new Secret('a wrong password')
      assert.equal(await users.verifyPassword(tenant, email, wrong), undefined)
      assert.deepEqual(work, ['SelectQueryNode', 'SelectQueryNode', 'hash'], email)
    }
  },
)

onEveryDatabase(
  'an e-mail belongs to one person, even when fifty ask at once',
  async (_t, store) => {
    const { tenant, users } = await createRig(store)
    const attempts = await Promise.allSettled(
      Array.from({ length: 50 }, () =>
        users.create({ tenant, email: 'ada@example.com', role: 'user' }),
      ),
    )
    assert.equal(attempts.filter(({ status }) => status === 'fulfilled').length, 1)
    assert.ok(attempts.every((a) => a.status === 'fulfilled' || withCode('conflict')(a.reason)))
    assert.equal(await users.count(tenant), 1)
  },
)

onEveryDatabase(
  'a password that is too short or no e-mail is refused with words',
  async (_t, store) => {
    const { tenant, users } = await createRig(store)
    const short = {
      tenant,
      email: 'ada@example.com',
      password: new Secret('elevenchars'),
      role: 'user',
    } as const
    await assert.rejects(users.create(short), withCode('invalid_input'))
    await assert.rejects(
      users.create({ ...short, password, email: 'ada' }),
      withCode('invalid_input'),
    )
    assert.equal(await users.count(tenant), 0)
  },
)

onEveryDatabase(
  'a session lives twelve hours, ends at sign-out, and is of one tenant',
  async (_t, store) => {
    const rig = await createRig(store)
    const { tenant, sessions, clock } = rig
    const { cookie, principal } = await signedIn(rig, 'ada@example.com')
    const another = { ...tenant, id: 'ten_another' }
    assert.equal(await sessions.find(another, cookie), undefined)
    assert.equal(await sessions.find(tenant, new Secret('made up')), undefined)

    await clock.advance(12 * hourMs - 1)
    assert.equal((await sessions.find(tenant, cookie))?.user.id, principal.user.id)
    await clock.advance(1)
    assert.equal(await sessions.find(tenant, cookie), undefined)

    const again = await sessions.begin(tenant, principal.user)
    const fresh = await sessions.find(tenant, again.cookie)
    assert.ok(fresh)
    await sessions.end(fresh)
    assert.equal(await sessions.find(tenant, again.cookie), undefined)
  },
)

onEveryDatabase(
  'an API key works within its tenant until it is revoked by its owner',
  async (_t, store) => {
    const rig = await createRig(store)
    const { tenant, apiKeys } = rig
    const ada = await signedIn(rig, 'ada@example.com')
    const bob = await signedIn(rig, 'bob@example.com')
    const made = await apiKeys.create(ada.principal, { name: 'back end', scopes: ['api'] })

    assert.match(made.key.reveal(), /^lk_[\w-]{43}$/)
    const found = await apiKeys.find(tenant, made.key)
    assert.equal(found?.user.id, ada.user.id)
    assert.deepEqual(found?.scopes, ['api'])
    assert.equal(await apiKeys.find({ ...tenant, id: 'ten_another' }, made.key), undefined)
    assert.deepEqual(await apiKeys.list(bob.principal), { items: [] })
    await assert.rejects(apiKeys.revoke(bob.principal, made.id), withCode('not_found'))
    await apiKeys.revoke(ada.principal, made.id)
    assert.equal(await apiKeys.find(tenant, made.key), undefined)
  },
)

onEveryDatabase('an API key ends at its moment, whoever made it', async (_t, store) => {
  const rig = await createRig(store)
  const { tenant, apiKeys, apiKeyAdministration, clock } = rig
  const ada = await signedIn(rig, 'ada@example.com')
  const bob = await signedIn(rig, 'bob@example.com')
  const facts = { name: 'robot', scopes: ['api'], expiresAt: clock.now() + 1000 } as const
  for (const expiresAt of [clock.now(), -1]) {
    const late = { ...facts, expiresAt }
    await assert.rejects(apiKeys.create(ada.principal, late), withCode('invalid_input'))
    await assert.rejects(
      apiKeyAdministration.create(tenant, ada.user, late),
      withCode('invalid_input'),
    )
  }
  const own = await apiKeys.create(ada.principal, facts)
  const given = await apiKeyAdministration.create(tenant, bob.user, facts)
  const ofBob = { id: given.id, name: 'robot', scopes: ['api'], expiresAt: facts.expiresAt }
  assert.deepEqual(await apiKeys.list(bob.principal), {
    items: [{ ...ofBob, createdAt: clock.now() }],
  })
  const all = await apiKeyAdministration.list(tenant)
  assert.deepEqual(
    new Map(all.map(({ id, email }) => [id, email])),
    new Map([
      [own.id, 'ada@example.com'],
      [given.id, 'bob@example.com'],
    ]),
  )
  assert.deepEqual(await apiKeyAdministration.list({ ...tenant, id: 'ten_another' }), [])

  await clock.advance(999)
  for (const { key } of [own, given]) assert.ok(await apiKeys.find(tenant, key))
  await clock.advance(1)
  for (const { key } of [own, given]) assert.equal(await apiKeys.find(tenant, key), undefined)
  const by = operatorAtTheMachine(tenant)
  const elsewhere = operatorAtTheMachine({ ...tenant, id: 'ten_another' })
  const { name, userId } = await apiKeyAdministration.end(by, given.id)
  assert.deepEqual([name, userId], ['robot', bob.user.id])
  await assert.rejects(apiKeyAdministration.end(by, given.id), withCode('not_found'))
  await assert.rejects(apiKeyAdministration.end(elsewhere, own.id), withCode('not_found'))
})

onEveryDatabase(
  'the set-up link makes one operator, even when fifty use it at once',
  async (_t, store) => {
    const { tenant, setup, users } = await createRig(store)
    const { secret: link } = (await setup.link(tenant)) ?? {}
    assert.ok(link)
    const attempts = await Promise.allSettled(
      Array.from({ length: 50 }, (_, index) =>
        setup.complete(tenant, link, { email: `person${index}@example.com`, password }),
      ),
    )
    assert.equal(attempts.filter(({ status }) => status === 'fulfilled').length, 1)
    assert.equal(await users.count(tenant), 1)
    assert.equal(await setup.link(tenant), undefined)
    assert.equal(await setup.isOpen(tenant, link), false)
  },
)

onEveryDatabase(
  'a set-up link ends after a day, and when a newer one is made',
  async (_t, store) => {
    const { tenant, setup, clock } = await createRig(store)
    const { secret: first } = (await setup.link(tenant)) ?? {}
    const { secret: second } = (await setup.link(tenant)) ?? {}
    assert.ok(first && second)
    assert.equal(await setup.isOpen(tenant, first), false)
    const short = { email: 'ada@example.com', password: new Secret('short') }
    await assert.rejects(setup.complete(tenant, second, short), withCode('invalid_input'))
    assert.equal(await setup.isOpen(tenant, second), true, 'a refused password does not spend it')

    await clock.advance(24 * hourMs - 1)
    assert.equal(await setup.isOpen(tenant, second), true)
    await clock.advance(1)
    assert.equal(await setup.isOpen(tenant, second), false)
  },
)

onEveryDatabase('the default tenant is one row, and moves with its setting', async (_t, store) => {
  const { tenants, tenant } = await createRig(store)
  const found = await Promise.all(
    Array.from({ length: 50 }, () => tenants.ensureDefault('https://latchkey.test')),
  )
  assert.deepEqual(new Set(found.map(({ id }) => id)), new Set([tenant.id]))
  assert.equal((await tenants.at({ host: 'latchkey.test', slug: undefined }))?.id, tenant.id)
  assert.equal(await tenants.at({ host: 'evil.test', slug: undefined }), undefined)
  await tenants.ensureDefault('https://new.test')
  assert.equal(await tenants.at({ host: 'latchkey.test', slug: undefined }), undefined)
  assert.equal((await tenants.at({ host: 'new.test', slug: undefined }))?.id, tenant.id)
})

// A principal that nobody verified cannot be written down: without the brand this does not compile.
void ((unverified: { kind: 'session'; tenant: Tenant; user: User; sessionDigest: string }) => {
  // @ts-expect-error the brand is missing
  const forged: SessionPrincipal = unverified
  return forged
})
