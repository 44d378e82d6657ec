// The MCP servers of a tenant: where they are, how they are reached, and what discovery found about them. Secrets of a
// server go in here and come out as names or not at all.
import { Fault } from '../base/fault.ts'
import { limitOf, pageOf, positionOf } from '../base/page.ts'
import type { Page, PageRequest } from '../base/page.ts'
import { randomId } from '../base/random.ts'
import { actorOf, isAdmin } from '../people/principal.ts'
import type { Principal } from '../people/principal.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import { ofRow, steadyQuery } from '../store/hot-query.ts'
import type { ServerRow } from '../store/schema.ts'
import type { Transport } from '../upstream/mcp.ts'
import { createClientDocuments } from './client-documents.ts'
import type { ClientDocuments } from './client-documents.ts'
import { requireIntroduce } from './introduce.ts'
import {
  countByProvider,
  isProviderUsed,
  providerColumn,
  requireProvider,
} from './server-provider.ts'
import { decideAuth } from './decide-auth.ts'
import { countSignIns, endSignIns } from './end-sign-ins.ts'
import { accessColumn, requireVisible } from './server-access.ts'
import { changeServer } from './server-change.ts'
import { checkName, checkSlug, checkUrl, hostWord, proposeSlugs } from './server-input.ts'
import type { ServerInput, ToolPolicy, ToolScope } from './server-input.ts'
import {
  keyColumns,
  plainColumns,
  sealedColumns,
  showServer,
  toolScopesColumn,
  toPublicServer,
  toServer,
} from './server-rows.ts'
import type { EndedAddress, PublicServer, Server, ServerNeeds } from './server-rows.ts'
import { testServer } from './server-test.ts'
import type { ServerTest } from './server-test.ts'
import { serverTemplates } from './templates.ts'
import type { ServerTemplate } from './templates.ts'
import { readToolScopes, toolPolicyColumn } from './tool-scopes.ts'
import { noteTransport } from './transport.ts'

export type { EndedAddress, PublicServer, Server, ServerInput, ServerTest, ToolPolicy, ToolScope }

export interface Servers extends ClientDocuments {
  /** Well-known servers, ready to be added. */
  readonly templates: readonly ServerTemplate[]
  /** Throws Fault('invalid_input' | 'conflict') and what discovery throws. */
  readonly create: (principal: Principal, input: ServerInput) => Promise<PublicServer>
  readonly list: (principal: Principal, page?: PageRequest) => Promise<Page<PublicServer>>
  /** Those that the caller may use, at most 200, by their slugs. */
  readonly usable: (principal: Principal) => Promise<readonly Server[]>
  /** Throws Fault('not_found'). */
  readonly get: (principal: Principal, id: string) => Promise<PublicServer>
  /** A new URL, issuer or client drops the tokens that belong to the old one. */
  readonly update: (
    principal: Principal,
    id: string,
    input: Partial<ServerInput>,
  ) => Promise<PublicServer>
  readonly remove: (principal: Principal, id: string) => Promise<void>
  /** How many sign-ins there are that would end with it. Throws Fault('not_found'). */
  readonly countSignIns: (principal: Principal, id: string) => Promise<number>
  /** Lists the server's tools as the caller. */
  readonly test: (principal: Principal, id: string) => Promise<ServerTest>
  /** Keeps how it was found to speak; undefined: that is not known any more. */
  readonly noteTransport: (server: Server, transport: Transport | undefined) => Promise<void>
  readonly byId: (tenant: Tenant, id: string) => Promise<Server | undefined>
  readonly bySlug: (tenant: Tenant, slug: string) => Promise<Server | undefined>
  /** The oldest server at this URL. */
  readonly byAddress: (tenant: Tenant, url: string) => Promise<Server | undefined>
  /** The server at this URL whose own authorization server is this one. */
  readonly byUrl: (tenant: Tenant, url: string, issuer: string) => Promise<Server | undefined>
  /** The scopes that the servers of this tenant name. */
  readonly scopesInUse: (tenant: Tenant) => Promise<readonly string[]>
  /** Does a server's list name this scope? */
  readonly usesScope: (tenant: Tenant, scope: string) => Promise<boolean>
  /** The names of the servers that name each scope; one that none names is not among them. */
  readonly perScope: (tenant: Tenant) => Promise<ReadonlyMap<string, readonly string[]>>
  /** How many servers use each provider; one that none uses is not among them. */
  readonly perProvider: (tenant: Tenant) => Promise<ReadonlyMap<string, number>>
  /** Is a server reached with the tokens of this provider? To be asked inside the transaction that holds the provider. */
  readonly usesProvider: (tx: Database, tenant: Tenant, providerId: string) => Promise<boolean>
}

// Asked for every call that passes through.
const findBySlug = steadyQuery(
  (db, { tenantId, slug }: { readonly tenantId: string; readonly slug: string }) =>
    db.selectFrom('servers').selectAll().where('tenant_id', '=', tenantId).where('slug', '=', slug),
)

const serverOf = ofRow(toServer)

/** Makes the servers of all tenants over one database. */
export function createServers(needs: ServerNeeds): Servers {
  const find = (tenantId: string, column: 'id' | 'context', value: string) =>
    needs.db
      .selectFrom('servers')
      .selectAll()
      .where('tenant_id', '=', tenantId)
      .where(column, '=', value)
      .executeTakeFirst()
  const require = async (tenant: Tenant, id: string) => {
    const row = await find(tenant.id, 'id', id)
    if (row !== undefined) return row
    throw new Fault('not_found', { because: 'no such server in this tenant' })
  }
  const requireSeen = async (principal: Principal, id: string) => {
    const row = await require(principal.tenant, id)
    requireVisible(toServer(row), principal)
    return row
  }

  return {
    templates: serverTemplates,
    create: (principal, input) => createServer(needs, principal, input),
    list: (principal, page = {}) => listServers(needs, principal, page),
    usable: async (principal) => {
      const rows = await visibleTo(needs, principal).orderBy('slug').limit(usableMax).execute()
      return rows.map(toServer)
    },
    get: async (principal, id) => showServer(await requireSeen(principal, id), principal),
    update: async (principal, id, input) =>
      changeServer(needs, principal, await require(principal.tenant, id), input),
    remove: async (principal, id) =>
      removeServer(needs, principal, await require(principal.tenant, id)),
    countSignIns: async ({ tenant }, id) => {
      const row = await require(tenant, id)
      return countSignIns(needs.db, { tenant_id: row.tenant_id, server_id: row.id })
    },
    test: async (principal, id) =>
      testServer(needs, principal, toServer(await requireSeen(principal, id))),

    noteTransport: (server, transport) => noteTransport(needs, server, transport),
    byId: async (tenant, id) => {
      const row = await find(tenant.id, 'id', id)
      return row && toServer(row)
    },
    bySlug: async (tenant, slug) => {
      const [row] = await findBySlug(needs.db, { tenantId: tenant.id, slug })
      return row && serverOf(row)
    },
    byAddress: (tenant, url) => oldestAt(needs, tenant, { url }),
    byUrl: (tenant, url, issuer) => oldestAt(needs, tenant, { url, issuer }),
    scopesInUse: (tenant) => scopesInUse(needs, tenant),
    usesScope: async (tenant, scope) => (await scopesInUse(needs, tenant)).includes(scope),
    perScope: async (tenant) => namesPerScope(await scopesOfServers(needs, tenant)),
    usesProvider: isProviderUsed,
    perProvider: (tenant) => countByProvider(needs.db, tenant),
    ...createClientDocuments(needs),
  }
}

async function oldestAt(
  { db }: ServerNeeds,
  tenant: Tenant,
  { url, issuer }: { readonly url: string; readonly issuer?: string },
): Promise<Server | undefined> {
  const row = await db
    .selectFrom('servers')
    .selectAll()
    .where('tenant_id', '=', tenant.id)
    .where('url', '=', url)
    .$if(issuer !== undefined, (some) => some.where('issuer', '=', issuer ?? ''))
    .orderBy('created_at')
    .limit(1)
    .executeTakeFirst()
  return row && toServer(row)
}

async function createServer(
  needs: ServerNeeds,
  principal: Principal,
  input: ServerInput,
): Promise<PublicServer> {
  const { tenant } = principal
  const url = checkUrl(needs.outbound, input.url)
  const toolScopes = await toolScopesColumn(needs, tenant, input.toolScopes ?? [])
  const slugs =
    input.slug === undefined ? proposeSlugs({ name: input.name, url }) : [checkSlug(input.slug)]
  const id = randomId(needs.random, 'srv_')
  const context = randomId(needs.random, '')
  const key = keyColumns(needs, { tenantId: tenant.id, id }, input.clientKey)
  const facts = plainColumns(needs, input, { hasKey: key.client_key_sealed !== null })
  const discovered = await decideAuth(needs.upstream, { tenant, url, input })
  const { auth } = discovered
  requireIntroduce(needs.introduce, auth)
  const row: Omit<ServerRow, 'slug'> = {
    tenant_id: tenant.id,
    id,
    name: input.name === undefined ? hostWord(url) : checkName(input.name),
    url,
    auth,
    ...sealedColumns(needs, { tenantId: tenant.id, id, auth }, input),
    ...facts,
    tool_scopes: toolScopes,
    tool_policy: toolPolicyColumn(input.toolPolicy ?? null),
    // A client id is known to one issuer only; which one, as it spells itself, is fixed at the first look.
    provider_id: providerColumn(auth, input),
    issuer:
      facts.issuer === null && facts.client_id === null
        ? null
        : (discovered.issuer ?? facts.issuer),
    context,
    created_by: principal.user?.id ?? null,
    created_at: needs.clock.now(),
    updated_at: needs.clock.now(),
    token_format: input.tokenFormat ?? 'opaque',
    ...key,
    may_use: await accessColumn(needs.db, tenant, input.mayUse ?? []),
    transport: discovered.transport ?? null,
  }
  const stored = await insertServer(needs, principal, row, slugs)
  return { ...toPublicServer(tenant, stored), discovered }
}

async function insertServer(
  { db, journal }: ServerNeeds,
  principal: Principal,
  row: Omit<ServerRow, 'slug'>,
  slugs: readonly string[],
): Promise<ServerRow> {
  return db.transaction().execute(async (tx) => {
    await requireProvider(tx, row)
    for (const slug of slugs) {
      const stored = await tx
        .insertInto('servers')
        .values({ ...row, slug })
        .onConflict((conflict) => conflict.columns(['tenant_id', 'slug']).doNothing())
        .returningAll()
        .executeTakeFirst()
      if (stored === undefined) continue
      await journal.record(tx, {
        tenantId: row.tenant_id,
        type: 'server.created',
        actor: actorOf(principal),
        subject: { kind: 'server', id: row.id },
        data: { slug, auth: row.auth },
      })
      return stored
    }
    throw new Fault('conflict', {
      because: 'the slug is taken',
      detail: { slug: 'Another server has this slug. Choose another one.' },
    })
  })
}

const usableMax = 200

/** The rows of those that the caller may use. */
function visibleTo({ db }: ServerNeeds, principal: Principal) {
  const { tenant, user } = principal
  // The name in its quotes, as JSON has it; ids of ours have nothing in them that JSON or `like` would read otherwise.
  const named = [user?.id ?? '', user?.role ?? ''].map((name) => `%"${name}"%`)
  return db
    .selectFrom('servers')
    .selectAll()
    .where('tenant_id', '=', tenant.id)
    .$if(!isAdmin(principal), (some) =>
      some.where((is) =>
        is.or([is('may_use', 'is', null), ...named.map((name) => is('may_use', 'like', name))]),
      ),
    )
}

async function listServers(
  needs: ServerNeeds,
  principal: Principal,
  page: PageRequest,
): Promise<Page<PublicServer>> {
  const { createdAt, id } = positionOf(page)
  const rows = await visibleTo(needs, principal)
    .where((is) => is(is.refTuple('created_at', 'id'), '>', is.tuple(createdAt, id)))
    .orderBy('created_at')
    .orderBy('id')
    .limit(limitOf(page) + 1)
    .execute()
  return pageOf(rows, page, (row) => showServer(row, principal))
}

async function scopesInUse(needs: ServerNeeds, tenant: Tenant): Promise<readonly string[]> {
  const servers = await scopesOfServers(needs, tenant)
  return [...new Set(servers.flatMap(({ scopes }) => scopes))]
}

interface ScopesOfServer {
  readonly name: string
  readonly scopes: readonly string[]
}

async function scopesOfServers(
  { db }: ServerNeeds,
  { id }: Tenant,
): Promise<readonly ScopesOfServer[]> {
  const rows = await db
    .selectFrom('servers')
    .select(['name', 'tool_scopes'])
    .where('tenant_id', '=', id)
    .where('tool_scopes', 'is not', null)
    .orderBy('slug')
    .execute()
  return rows.map(({ name, tool_scopes: list }) => ({
    name,
    scopes: list === null ? [] : readToolScopes(list).map(({ scope }) => scope),
  }))
}

function namesPerScope(servers: readonly ScopesOfServer[]): ReadonlyMap<string, readonly string[]> {
  const all = new Set(servers.flatMap(({ scopes }) => scopes))
  const namesOf = (scope: string) =>
    servers.filter(({ scopes }) => scopes.includes(scope)).map(({ name }) => name)
  return new Map([...all].map((scope) => [scope, namesOf(scope)]))
}

async function removeServer(
  { db, journal, upstream, addressEnded }: ServerNeeds,
  principal: Principal,
  row: ServerRow,
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await endSignIns({ upstream }, tx, { tenant_id: row.tenant_id, server_id: row.id })
    await tx
      .deleteFrom('servers')
      .where('tenant_id', '=', row.tenant_id)
      .where('id', '=', row.id)
      .execute()
    await addressEnded(tx, principal.tenant, { slug: row.slug })
    await addressEnded(tx, principal.tenant, { url: row.url })
    await journal.record(tx, {
      tenantId: row.tenant_id,
      type: 'server.deleted',
      actor: actorOf(principal),
      subject: { kind: 'server', id: row.id },
      data: { slug: row.slug },
    })
  })
  await upstream.discover.forget(principal.tenant, row.url)
}
