// Where the people of a tenant sign in elsewhere, by an administrator's hand: set up, looked at, changed and taken away.
// Secrets go in and never come back. What happens at a sign-in is in arrivals.ts.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Outbound } from '../base/outbound.ts'
import { cutPage, foreignCursor, limitOf } from '../base/page.ts'
import type { Page, PageRequest } from '../base/page.ts'
import { randomId } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { EntryData, EntryType, Journal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import type { ProviderRow } from '../store/schema.ts'
import {
  findProviderRow,
  providerSecretPlace,
  readEndpoints,
  signInRedirectUri,
  toSignInProvider,
} from '../upstream/sign-in-provider.ts'
import type {
  ClaimMapping,
  ProviderEndpoints,
  ProviderKind,
  SignInProvider,
} from '../upstream/sign-in-provider.ts'
import { actorOf, requireAdmin } from './principal.ts'
import type { KeyPrincipal, OperatorPrincipal, SessionPrincipal } from './principal.ts'
import {
  findPlace,
  mannerColumns,
  newMannerColumns,
  placeColumns,
  sealedSecret,
  slugOf,
} from './provider-input.ts'
import type { NewProvider, ProviderChange, ProviderPlace } from './provider-input.ts'
import { lockProvider } from './provider-lock.ts'
import type { Tenant } from './tenants.ts'

/** A provider as its administrators see it. */
export interface Provider {
  readonly id: string
  readonly slug: string
  readonly kind: ProviderKind
  readonly name: string
  readonly issuer: string
  readonly authorizationEndpoint: string
  readonly tokenEndpoint: string
  readonly userinfoEndpoint?: string
  readonly emailsEndpoint?: string
  readonly jwksUri?: string
  readonly clientId: string
  readonly hasClientSecret: boolean
  readonly scopes: string
  readonly claims: ClaimMapping
  readonly emailDomains: readonly string[]
  readonly emailsAreVerified: boolean
  readonly linksVerifiedEmail: boolean
  readonly keepsTokens: boolean
  /** To be registered there. */
  readonly redirectUri: string
  /** Where it says that a session of somebody ended (OIDC Back-Channel Logout). */
  readonly backchannelLogoutUri: string
  readonly createdAt: number
  readonly updatedAt: number
}

/** A provider as the sign-in page needs it. */
export interface OfferedProvider {
  readonly slug: string
  readonly name: string
}

/** What a look at a provider found. */
export interface ProviderFinding {
  readonly issuer: string
  readonly authorizationEndpoint: string
  readonly tokenEndpoint: string
  readonly userinfoEndpoint?: string
  readonly jwksUri?: string
  readonly scopes: readonly string[]
}

export type ProviderMaker = SessionPrincipal | KeyPrincipal | OperatorPrincipal

/** Calls that name a maker throw Fault('forbidden') for a person who is not an administrator. */
export interface Providers {
  /** Throws Fault('invalid_input' | 'conflict'), and the Faults of a look at the provider. */
  readonly create: (by: ProviderMaker, input: NewProvider) => Promise<Provider>
  readonly list: (by: ProviderMaker, page?: PageRequest) => Promise<Page<Provider>>
  /** Throws Fault('not_found'), as do the calls below. */
  readonly get: (by: ProviderMaker, id: string) => Promise<Provider>
  /** A change of where it is looks there again. Throws as `create`. */
  readonly update: (by: ProviderMaker, id: string, change: ProviderChange) => Promise<Provider>
  /** Ends every session and grant that hangs on it. */
  readonly remove: (by: ProviderMaker, id: string) => Promise<void>
  /** Looks at a provider that is not set up yet, and keeps nothing (S4-41). */
  readonly check: (by: ProviderMaker, place: ProviderPlace) => Promise<ProviderFinding>
  /** What the sign-in page offers, by name. */
  readonly offered: (tenant: Tenant) => Promise<readonly OfferedProvider[]>
  /** The provider behind an address of ours. Throws Fault('not_found'). */
  readonly bySlug: (tenant: Tenant, slug: string) => Promise<SignInProvider>
}

export interface ProviderNeeds {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
  readonly outbound: Outbound
  /** Ends what hangs on a provider that goes, inside the transaction that takes it away. */
  readonly providerEnds: (tx: Database, tenant: Tenant, providerId: string) => Promise<void>
  /** Is a server reached with its tokens? Told by the platform; this room does not know servers. */
  readonly isUsed: (tx: Database, tenant: Tenant, providerId: string) => Promise<boolean>
}

const providersMax = 50
export const providerPageSizes = { usual: 50, most: providersMax }
const idShape = /^prv_\w{1,64}$/

/** Makes the providers of all tenants over one database. */
export function createProviders(needs: ProviderNeeds): Providers {
  const { db } = needs
  return {
    create: (by, input) => create(needs, by, input),
    list: async (by, page = {}) => {
      requireAdmin(by)
      return list(db, by.tenant, page)
    },
    get: async (by, id) => {
      requireAdmin(by)
      return shown(by.tenant, await requireRow(db, by.tenant, id))
    },
    update: (by, id, change) => update(needs, by, id, change),
    remove: (by, id) => remove(needs, by, id),
    check: async (by, place) => {
      requireAdmin(by)
      const { issuer, endpoints, scopes = [] } = await findPlace(needs, place)
      return { issuer, ...addressesOf(endpoints), scopes }
    },
    offered: (tenant) =>
      db
        .selectFrom('providers')
        .select(['slug', 'name'])
        .where('tenant_id', '=', tenant.id)
        .orderBy('name')
        .limit(providersMax)
        .execute(),
    bySlug: async (tenant, slug) => {
      const row = await findProviderRow(db, tenant, { slug })
      return row === undefined ? notFound() : toSignInProvider(needs, tenant, row)
    },
  }
}

async function create(
  needs: ProviderNeeds,
  by: ProviderMaker,
  input: NewProvider,
): Promise<Provider> {
  requireAdmin(by)
  const { db, clock, random } = needs
  const { tenant } = by
  const key = { tenant_id: tenant.id, id: randomId(random, 'prv_') }
  const manner = newMannerColumns(input)
  const slug = slugOf(input)
  const secret = sealedSecret(needs, providerSecretPlace(key), input)
  const place = await findPlace(needs, input)
  const row: ProviderRow = {
    ...key,
    slug,
    kind: input.kind,
    ...manner,
    ...placeColumns(place, { hasSecret: secret !== undefined }),
    client_secret_sealed: secret ?? null,
    created_at: clock.now(),
    updated_at: clock.now(),
  }
  await db.transaction().execute(async (tx) => {
    await requireRoom(tx, tenant)
    await requireFree(tx, tenant, row)
    await tx
      .insertInto('providers')
      .values(row)
      .onConflict((is) => is.doNothing())
      .execute()
    const isStored = (await findProviderRow(tx, tenant, { id: row.id })) !== undefined
    if (!isStored) throw taken('name')
    await note(needs, { tx, by, row }, 'provider.created', { issuer: row.issuer })
  })
  return shown(tenant, row)
}

async function requireRoom(tx: Database, tenant: Tenant): Promise<void> {
  const { count } = await tx
    .selectFrom('providers')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('tenant_id', '=', tenant.id)
    .executeTakeFirstOrThrow()
  if (count < providersMax) return
  throw new Fault('conflict', {
    because: 'the tenant has as many providers as it may',
    detail: { name: `A tenant has at most ${providersMax} providers. Remove one first.` },
  })
}

/** S4-38: a name is one provider's in its tenant, and so is the word in its address. */
async function requireFree(
  tx: Database,
  tenant: Tenant,
  { id, name, slug }: Pick<ProviderRow, 'id' | 'name' | 'slug'>,
): Promise<void> {
  const other = await tx
    .selectFrom('providers')
    .select('name')
    .where('tenant_id', '=', tenant.id)
    .where('id', '!=', id)
    .where((is) => is.or([is('name', '=', name), is('slug', '=', slug)]))
    .limit(1)
    .executeTakeFirst()
  if (other !== undefined) throw taken(other.name === name ? 'name' : 'slug')
}

function taken(field: 'name' | 'slug'): Fault {
  return new Fault('conflict', {
    because: `another provider has this ${field}`,
    detail: { [field]: 'Another provider here has it. Choose another.' },
  })
}

async function list(db: Database, tenant: Tenant, request: PageRequest): Promise<Page<Provider>> {
  const { cursor } = request
  if (cursor !== undefined && !idShape.test(cursor)) throw foreignCursor()
  const limit = limitOf(request, providerPageSizes)
  const rows = await db
    .selectFrom('providers')
    .selectAll()
    .where('tenant_id', '=', tenant.id)
    .where('id', '>', cursor ?? '')
    .orderBy('id')
    .limit(limit + 1)
    .execute()
  const { shown: some, next } = cutPage(rows, limit, ({ id }) => id)
  return { items: some.map((row) => shown(tenant, row)), ...next }
}

async function update(
  needs: ProviderNeeds,
  by: ProviderMaker,
  id: string,
  change: ProviderChange,
): Promise<Provider> {
  requireAdmin(by)
  const { db, clock } = needs
  const { tenant } = by
  const before = await requireRow(db, tenant, id)
  const kind = before.kind as ProviderKind // only create() writes it
  const secret = sealedSecret(needs, providerSecretPlace(before), change)
  const columns = {
    ...mannerColumns(kind, change),
    ...(await movedColumns(needs, before, change, secret)),
    ...(secret === undefined ? {} : { client_secret_sealed: secret }),
  }
  requireSecretAgain(before, columns)
  const changed = Object.keys(change)
  if (Object.keys(columns).length === 0) return shown(tenant, before)
  return db.transaction().execute(async (tx) => {
    if (columns.keeps_tokens === 0) await requireUnused(needs, tx, by, before.id)
    await requireFree(tx, tenant, { ...before, ...columns })
    const row = await tx
      .updateTable('providers')
      .set({ ...columns, updated_at: clock.now() })
      .where('tenant_id', '=', tenant.id)
      .where('id', '=', before.id)
      .returningAll()
      .executeTakeFirst()
    if (row === undefined) return notFound()
    // Somebody else speaks there now: what the one before said of people counts no more.
    if (row.issuer !== before.issuer) await needs.providerEnds(tx, tenant, row.id)
    await note(needs, { tx, by, row }, 'provider.updated', { changed })
    return shown(tenant, row)
  })
}

/** S4-39: another address is looked at again; a first secret may change how we prove ourselves there. */
async function movedColumns(
  needs: ProviderNeeds,
  before: ProviderRow,
  change: ProviderChange,
  secret: string | undefined,
): Promise<Partial<ProviderRow>> {
  const { issuer, authorizationEndpoint, tokenEndpoint, userinfoEndpoint, emailsEndpoint } = change
  const said = { issuer, authorizationEndpoint, tokenEndpoint, userinfoEndpoint, emailsEndpoint }
  const isMoved = Object.values(said).some((address) => address !== undefined)
  const isFirstSecret = secret !== undefined && before.client_secret_sealed === null
  if (!isMoved && !isFirstSecret) return {}
  const kind = before.kind as ProviderKind // only create() writes it
  const given = Object.entries(said).filter(([, address]) => address !== undefined)
  const place: ProviderPlace = { kind, ...writtenPlace(before), ...Object.fromEntries(given) }
  const hasSecret = secret !== undefined || before.client_secret_sealed !== null
  return placeColumns(await findPlace(needs, place), { hasSecret })
}

/** A secret goes nowhere but where it was said for: who moves the address could send it to themselves. */
function requireSecretAgain(before: ProviderRow, columns: Partial<ProviderRow>): void {
  const { endpoints, client_secret_sealed: secret } = columns
  if (endpoints === undefined || secret !== undefined || before.client_secret_sealed === null)
    return
  const { tokenEndpoint } = readEndpoints({ endpoints })
  if (new URL(tokenEndpoint).origin === new URL(readEndpoints(before).tokenEndpoint).origin) return
  throw new Fault('invalid_input', {
    because: 'the secret was given for another address',
    detail: { clientSecret: 'Enter the secret again: it would go to another address now.' },
  })
}

/** Where it is, as it would be said again: `oauth2` without metadata has only what was written. */
function writtenPlace(row: ProviderRow): Omit<ProviderPlace, 'kind'> {
  if (row.kind === 'oidc') return { issuer: row.issuer }
  const { authorizationEndpoint, tokenEndpoint, userinfoEndpoint, emailsEndpoint } =
    readEndpoints(row)
  const { issuer } = row
  return { issuer, authorizationEndpoint, tokenEndpoint, userinfoEndpoint, emailsEndpoint }
}

async function remove(needs: ProviderNeeds, by: ProviderMaker, id: string): Promise<void> {
  requireAdmin(by)
  const { db } = needs
  const { tenant } = by
  const row = await requireRow(db, tenant, id)
  await db.transaction().execute(async (tx) => {
    await requireUnused(needs, tx, by, row.id)
    await needs.providerEnds(tx, tenant, row.id)
    const gone = await tx
      .deleteFrom('providers')
      .where('tenant_id', '=', tenant.id)
      .where('id', '=', row.id)
      .returning('id')
      .executeTakeFirst()
    if (gone === undefined) return notFound()
    await note(needs, { tx, by, row }, 'provider.deleted', { issuer: row.issuer })
  })
}

/** S4-40. Throws Fault('conflict') while a server is reached with its tokens; none begins to be until the transaction ends. */
async function requireUnused(
  { isUsed }: ProviderNeeds,
  tx: Database,
  { tenant }: ProviderMaker,
  id: string,
): Promise<void> {
  await lockProvider(tx, tenant, id)
  if (!(await isUsed(tx, tenant, id))) return
  throw new Fault('conflict', {
    because: 'a server is reached with the tokens of this provider',
    detail: { provider: 'A server takes its tokens. Change or remove that server first.' },
  })
}

async function requireRow(db: Database, tenant: Tenant, id: string): Promise<ProviderRow> {
  const row = idShape.test(id) ? await findProviderRow(db, tenant, { id }) : undefined
  return row ?? notFound()
}

function shown(tenant: Tenant, row: ProviderRow): Provider {
  return {
    id: row.id,
    slug: row.slug,
    kind: row.kind as ProviderKind, // only create() writes it
    name: row.name,
    issuer: row.issuer,
    ...addressesOf(readEndpoints(row)),
    clientId: row.client_id,
    hasClientSecret: row.client_secret_sealed !== null,
    scopes: row.scopes,
    claims: JSON.parse(row.claims) as ClaimMapping, // mannerColumns() writes it
    emailDomains: JSON.parse(row.email_domains) as string[], // likewise
    emailsAreVerified: row.emails_are_verified === 1,
    linksVerifiedEmail: row.links_verified_email === 1,
    keepsTokens: row.keeps_tokens === 1,
    redirectUri: signInRedirectUri(tenant, row.slug),
    backchannelLogoutUri: `${tenant.issuer}/oauth/backchannel-logout/${row.slug}`,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}

function addressesOf(endpoints: ProviderEndpoints) {
  const { authorizationEndpoint, tokenEndpoint } = endpoints
  const { userinfoEndpoint, emailsEndpoint, jwksUri } = endpoints
  return {
    authorizationEndpoint,
    tokenEndpoint,
    ...(userinfoEndpoint === undefined ? {} : { userinfoEndpoint }),
    ...(emailsEndpoint === undefined ? {} : { emailsEndpoint }),
    ...(jwksUri === undefined ? {} : { jwksUri }),
  }
}

interface Touched {
  readonly tx: Database
  readonly by: ProviderMaker
  readonly row: ProviderRow
}

function note(
  { journal }: ProviderNeeds,
  { tx, by, row }: Touched,
  type: EntryType,
  data: EntryData,
): Promise<void> {
  return journal.record(tx, {
    tenantId: by.tenant.id,
    type,
    actor: actorOf(by),
    subject: { kind: 'provider', id: row.id },
    data,
  })
}

function notFound(): never {
  throw new Fault('not_found', { because: 'no such provider in this tenant' })
}
