// Tenants by an operator's hand: what one may be called and where it may be, that it is off or gone at once, and that nothing
// of a removed one stays but that it was removed.
import assert from 'node:assert/strict'
import { sql } from 'kysely'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { createManualClock } from '../base/clock.ts'
import { isFault } from '../base/fault.ts'
import { createKeyring, parseMasterKeys } from '../base/keyring.ts'
import { systemRandom } from '../base/random.ts'
import { Secret } from '../base/secret.ts'
import { createJournal } from '../journal/entries.ts'
import { createRefusalCounts } from '../journal/refusal-counts.ts'
import { silentLog } from '../base/log.ts'
import type { Store } from '../store/database.ts'
import { listTables } from '../store/migration-steps.ts'
import { createPasswords } from './passwords.ts'
import { operatorAtTheMachine, verifiedPrincipal } from './principal.ts'
import type { SessionPrincipal } from './principal.ts'
import { createSetup } from './setup.ts'
import { createTenantAdministration } from './tenant-administration.ts'
import type { NewTenant } from './tenant-input.ts'
import { createTenants } from './tenants.ts'
import type { Tenant } from './tenants.ts'
import { createUserAdministration } from './user-administration.ts'
import { createUsers } from './users.ts'
import type { Role } from './users.ts'

const password = new Secret('correct horse battery staple')
const acme: NewTenant = { slug: 'acme-co', issuer: 'https://acme.test', name: 'Acme' }

async function createRig(store: Store) {
  const clock = createManualClock()
  const random = systemRandom
  const keyring = createKeyring(
    { random },
    parseMasterKeys(Buffer.alloc(32, 7).toString('base64url')),
  )
  const { db } = store
  const journal = createJournal({ db, clock, random, keyring })
  const ground = { db, clock, random, keyring, journal }
  const tenants = createTenants(ground)
  const passwords = createPasswords(ground)
  const users = createUsers({ ...ground, passwords })
  const setup = createSetup({ ...ground, users })
  const tenant = await tenants.ensureDefault('https://latchkey.test')
  await clock.advance(1)
  return {
    ...ground,
    tenants,
    tenant,
    users,
    people: createUserAdministration({
      ...ground,
      passwords,
      users,
      personEnds: async () => {},
      appsEnd: async () => {},
    }),
    setup,
    administration: createTenantAdministration({ ...ground, setup }),
    by: operatorAtTheMachine(tenant),
  }
}

const withCode = (code: string, field?: string) => (thrown: unknown) =>
  isFault(thrown) && thrown.code === code && (field === undefined || field in (thrown.detail ?? {}))

function sessionOf(tenant: Tenant, role: Role): SessionPrincipal {
  const user = { id: 'usr_x', tenantId: tenant.id, emailVerified: false, role }
  return verifiedPrincipal({ kind: 'session', tenant, user, sessionDigest: 'x' })
}

onEveryDatabase('a tenant is found by its host, and by no other', async (t, store) => {
  verifies(t, 'S4-15')
  const { administration, tenants, by, journal, tenant } = await createRig(store)
  const made = await administration.create(by, acme)
  assert.equal(made.issuer, 'https://acme.test')
  assert.equal((await tenants.at({ host: 'acme.test', slug: undefined }))?.id, made.id)
  assert.equal((await tenants.bySlug('acme-co'))?.id, made.id)
  for (const host of ['acme.test.', 'acme.test:443', 'x.acme.test', 'acme.test:8443', '']) {
    assert.equal(await tenants.at({ host, slug: undefined }), undefined, host)
  }
  const { items } = await administration.list(by)
  assert.deepEqual(
    items.map(({ slug }) => slug),
    ['default', 'acme-co'],
  )
  const [first] = await journal.list({ tenantId: tenant.id, type: 'tenant.created' })
  assert.deepEqual(first?.subject, { kind: 'tenant', id: made.id })
  assert.deepEqual(first?.actor, { kind: 'operator' })
})

const wrong: readonly (readonly [field: string, Partial<NewTenant>])[] = [
  ...['acme', 'a'.repeat(37), 'Acme-Co', 'acme_co', '-acme-co', 'acme-co-', 'acmé-co', ''].map(
    (slug) => ['slug', { slug }] as const,
  ),
  ...[
    'acme.test',
    'https://acme.test/',
    'https://acme.test/t/acme',
    'https://acme.test?x',
    'https://acme.test:443',
    'https://ACME.test',
    'https://a:b@acme.test',
    'https://acme.test.',
    'http://acme.test',
    'ftp://acme.test',
    'https://',
    `https://${'a.'.repeat(130)}test`,
  ].map((issuer) => ['issuer', { issuer }] as const),
  ...['', ' ', 'a'.repeat(101), 'a\u0000b', '\ud800'].map((name) => ['name', { name }] as const),
  ...['red', '#fff', '#12345g'].map((accent) => ['accent', { accent }] as const),
  ...['http://x.test/a', 'javascript:alert(1)', 'https://a:b@x.test/', 'x'].map(
    (logoUrl) => ['logoUrl', { logoUrl }] as const,
  ),
  ...['nobody', 'http://x.test'].map(
    (supportContact) => ['supportContact', { supportContact }] as const,
  ),
  ...[0, -1, 1001, 0.001, Number.NaN].map((limitScale) => ['limitScale', { limitScale }] as const),
  ...[0, -1, 91, 1.5, Number.NaN].map(
    (callContentDays) => ['callContentDays', { callContentDays }] as const,
  ),
]

onEveryDatabase('what a tenant may not be called or be', async (t, store) => {
  verifies(t, 'S4-15')
  const { administration, by } = await createRig(store)
  for (const [field, change] of wrong) {
    await assert.rejects(
      administration.create(by, { ...acme, ...change }),
      withCode('invalid_input', field),
      JSON.stringify(change),
    )
  }
  for (const slug of ['acme-1', 'a'.repeat(36)]) {
    const issuer = `http://${slug}.localhost:8787`
    assert.equal((await administration.create(by, { slug, issuer })).name, slug)
  }
})

onEveryDatabase(
  'no two have one slug or one address, however many are made at once',
  async (_t, store) => {
    const { administration, by } = await createRig(store)
    const tries = await Promise.allSettled(
      Array.from({ length: 50 }, () => administration.create(by, acme)),
    )
    assert.equal(tries.filter(({ status }) => status === 'fulfilled').length, 1)
    const refused = tries.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
    assert.ok(refused.every(withCode('conflict')))
    const other = { ...acme, slug: 'other-co' }
    await assert.rejects(administration.create(by, other), withCode('conflict', 'issuer'))
    const near = { slug: 'near-co', issuer: 'http://near.localhost:80' }
    await assert.rejects(administration.create(by, near), withCode('invalid_input', 'issuer'))
    await administration.create(by, { slug: 'near-co', issuer: 'http://near.localhost:81' })
    const sameHost = { slug: 'far-co', issuer: 'https://near.localhost:81' }
    await assert.rejects(administration.create(by, sameHost), withCode('conflict', 'issuer'))
  },
)

onEveryDatabase('only an operator of the default tenant manages tenants', async (t, store) => {
  verifies(t, 'S4-10', 'S4-45')
  const { administration, by, tenant, users, people } = await createRig(store)
  const made = await administration.create(by, acme)
  const others = [
    sessionOf(tenant, 'user'),
    sessionOf(tenant, 'admin'),
    sessionOf(made, 'admin'),
    sessionOf(made, 'operator'),
    operatorAtTheMachine(made),
  ]
  for (const other of others) {
    const calls = [
      () => administration.list(other),
      () => administration.get(other, made.id),
      () => administration.create(other, { ...acme, slug: 'other-co' }),
      () => administration.update(other, made.id, { disabled: true }),
      () => administration.remove(other, made.id),
      () => administration.setupLink(other, made.id),
    ]
    for (const call of calls) await assert.rejects(call(), withCode('forbidden'))
  }
  assert.equal((await administration.list(sessionOf(tenant, 'operator'))).items.length, 2)

  const eve = { tenant: made, email: 'eve@example.com', role: 'operator' } as const
  await assert.rejects(users.create(eve), withCode('invalid_input', 'role'))
  const here = operatorAtTheMachine(made)
  const admin = await people.create(here, { email: 'eve@example.com', role: 'admin' })
  await assert.rejects(
    people.update(here, admin.user.id, { role: 'operator' }),
    withCode('invalid_input', 'role'),
  )
  await assert.rejects(people.update(here, admin.user.id, { role: 'user' }), withCode('conflict'))
})

onEveryDatabase(
  'a set-up link makes a tenant’s first administrator, never an operator',
  async (t, store) => {
    verifies(t, 'S4-10')
    const { administration, by, setup, users, tenant } = await createRig(store)
    const made = await administration.create(by, acme)
    // Whom a provider let in before ends no link.
    await users.create({ tenant: made, email: 'first@example.com', role: 'user' })
    const link = await administration.setupLink(by, made.id)
    assert.equal(link.url.reveal(), `https://acme.test/setup?link=${link.secret.reveal()}`)
    assert.equal(await setup.isOpen(tenant, link.secret), false, 'it opens no other tenant')
    const tries = await Promise.allSettled(
      Array.from({ length: 50 }, (_, index) =>
        setup.complete(made, link.secret, { email: `p${index}@example.com`, password }),
      ),
    )
    const done = tries.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    assert.deepEqual(
      done.map(({ role }) => role),
      ['admin'],
    )
    await assert.rejects(administration.setupLink(by, made.id), withCode('conflict'))
    assert.equal(await setup.isOpen(made, link.secret), false)
  },
)

onEveryDatabase(
  'one that is switched off is nobody’s host until it is on again',
  async (_t, store) => {
    const { administration, by, tenants, tenant, journal } = await createRig(store)
    const { id } = await administration.create(by, acme)
    assert.equal((await administration.update(by, id, { disabled: true })).disabled, true)
    assert.equal(await tenants.at({ host: 'acme.test', slug: undefined }), undefined)
    await administration.update(by, id, { disabled: true })
    await administration.update(by, id, { disabled: false, issuer: 'https://new.test' })
    assert.equal(await tenants.at({ host: 'acme.test', slug: undefined }), undefined)
    assert.equal((await tenants.at({ host: 'new.test', slug: undefined }))?.id, id)
    const change = {
      accent: '#AABBCC',
      logoUrl: 'https://x.test/l.png',
      supportContact: 'help@acme.test',
    }
    await administration.update(by, id, { ...change, limitScale: 0.5 })
    const found = await tenants.at({ host: 'new.test', slug: undefined })
    assert.deepEqual(found?.branding, { ...change, accent: '#aabbcc' })
    assert.equal(found?.limitScale, 0.5)
    await administration.update(by, id, { accent: null, logoUrl: null, supportContact: null })
    assert.equal((await tenants.at({ host: 'new.test', slug: undefined }))?.branding, undefined)

    const taken = { issuer: 'https://latchkey.test' }
    await assert.rejects(administration.update(by, id, taken), withCode('conflict', 'issuer'))
    await assert.rejects(administration.update(by, 'ten_x', {}), withCode('not_found'))
    await assert.rejects(administration.update(by, '\u0000', {}), withCode('not_found'))
    for (const change of [{ disabled: true }, { issuer: 'https://moved.test' }]) {
      await assert.rejects(administration.update(by, tenant.id, change), withCode('conflict'))
    }
    await assert.rejects(tenants.ensureDefault('https://new.test'), /address of the tenant acme-co/)
    const entries = await journal.list({ tenantId: tenant.id, subjectId: id })
    assert.deepEqual(
      entries.map(({ type }) => type),
      ['created', 'disabled', 'updated', 'enabled', 'updated', 'updated'].map(
        (what) => `tenant.${what}`,
      ),
    )
  },
)

onEveryDatabase(
  'of a removed tenant there is no row left, in whatever table',
  async (_t, store) => {
    const { administration, by, tenant, journal } = await createRig(store)
    const { db } = store
    const made = await administration.create(by, acme)
    const kept = await administration.create(by, { slug: 'kept-co', issuer: 'https://kept.test' })
    const tables = await tenantTables(store)
    assert.ok(tables.length > 35, 'there are tables at all')
    for (const { id } of [made, kept]) await fill(store, tables, id)
    assert.deepEqual(await filledTables(store, made.id), tables)

    await administration.remove(by, made.id)
    assert.deepEqual(await filledTables(store, made.id), [])
    assert.deepEqual(await filledTables(store, kept.id), tables)
    assert.equal(
      await db.selectFrom('tenants').selectAll().where('id', '=', made.id).executeTakeFirst(),
      undefined,
    )
    const entries = await journal.list({ tenantId: tenant.id, type: 'tenant.deleted' })
    assert.deepEqual(
      entries.map(({ subject, data }) => [subject?.id, data['slug']]),
      [[made.id, 'acme-co']],
    )
    await assert.rejects(administration.remove(by, made.id), withCode('not_found'))
    await assert.rejects(administration.remove(by, tenant.id), withCode('conflict'))
    // Its name and address are free again.
    await administration.create(by, acme)
  },
)

onEveryDatabase(
  'what was counted of a removed tenant keeps nothing else from being written',
  async (_t, store) => {
    const { administration, by, tenant, clock } = await createRig(store)
    const { id } = await administration.create(by, acme)
    const counts = createRefusalCounts({ db: store.db, clock, log: silentLog })
    for (const tenantId of [id, tenant.id]) {
      counts.add({ tenantId, type: 'token.refused', error: 'invalid_grant' })
    }
    await administration.remove(by, id)
    await counts.flush()
    const rows = await store.db.selectFrom('refusal_counts').selectAll().execute()
    assert.deepEqual(
      rows.map((row) => row.tenant_id),
      [tenant.id],
    )
  },
)

onEveryDatabase('changes at once lose nothing of one another', async (_t, store) => {
  const { administration, by } = await createRig(store)
  const { id } = await administration.create(by, acme)
  await Promise.all([
    ...Array.from({ length: 25 }, (_, index) =>
      administration.update(by, id, { name: `Acme ${index}` }),
    ),
    administration.update(by, id, { disabled: true }),
    ...Array.from({ length: 24 }, () => administration.update(by, id, { limitScale: 2 })),
  ])
  const found = await administration.get(by, id)
  assert.match(found.name, /^Acme \d+$/)
  assert.deepEqual([found.disabled, found.limitScale], [true, 2])
})

/** Every table with a column `tenant_id`, as the database itself tells it. */
async function tenantTables(store: Store): Promise<readonly string[]> {
  const found: string[] = []
  for (const table of await listTables(store)) {
    const columns = await columnsOf(store, table)
    if (columns.some(({ name }) => name === 'tenant_id')) found.push(table)
  }
  return found
}

/** A row in every table. What hangs on another table's row is refused until that is there, so it is tried again. */
async function fill(store: Store, tables: readonly string[], tenantId: string): Promise<void> {
  let left = tables
  while (left.length > 0) {
    const refused: string[] = []
    for (const table of left) {
      await insertAny(store, table, tenantId).catch(() => refused.push(table))
    }
    assert.ok(refused.length < left.length, `no row fits into ${refused.join(', ')}`)
    left = refused
  }
}

/** Every text of a tenant is the same, so that every row is what the others point to. */
async function insertAny(store: Store, table: string, tenantId: string): Promise<void> {
  const columns = await columnsOf(store, table)
  const names = columns.map(({ name }) => sql.ref(name))
  const values = columns.map(({ isText }) => (isText ? tenantId : 1))
  await sql`
    insert into ${sql.table(table)} (${sql.join(names)}) values (${sql.join(values)})
  `.execute(store.db)
}

async function filledTables(store: Store, tenantId: string): Promise<readonly string[]> {
  const found: string[] = []
  for (const table of await tenantTables(store)) {
    const { rows } = await sql`
      select 1 from ${sql.table(table)} where tenant_id = ${tenantId} limit 1
    `.execute(store.db)
    if (rows.length > 0) found.push(table)
  }
  return found
}

async function columnsOf({ db, engine }: Store, table: string) {
  const { rows } = await (
    engine === 'sqlite'
      ? sql<{ name: string; type: string }>`select name, type from pragma_table_info(${table})`
      : sql<{ name: string; type: string }>`
          select column_name as name, data_type as type from information_schema.columns
          where table_schema = current_schema() and table_name = ${table}`
  ).execute(db)
  return rows.map(({ name, type }) => ({ name, isText: type.toLowerCase() === 'text' }))
}
