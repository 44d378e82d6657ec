// The scopes of a tenant: what every tenant has, in the words that this one chose, and what it added. Administrators
// change them; the consent page, the clients and the gateway read them.
import { sql } from 'kysely'
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { EntryType, Journal } from '../journal/entries.ts'
import { formatScope, isScopeToken, parseScope } from '../oauth/scope.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import { steadyQuery } from '../store/hot-query.ts'
import type { ScopeRow } from '../store/schema.ts'
import { actorOf, requireAdministrator } from './administrator.ts'
import type { ClientMaker } from './administrator.ts'
import { checkScopeInput, checkScopeName, invalid } from './scope-input.ts'
import type { ScopeInput } from './scope-input.ts'
import { builtInScopes, identityScopes, toolsScope, withIncluded } from './scopes.ts'
import type { RegisteredScope, ShownScope } from './scopes.ts'

/** A scope as administrators see it. */
export interface PublicScope extends RegisteredScope {
  /** Does every tenant have it? Then it cannot be removed, only put back. */
  readonly isBuiltIn: boolean
  /** Are these the tenant's own words? */
  readonly isOwn: boolean
}

export type NewScope = Pick<ScopeInput, 'words'> & Partial<ScopeInput> & { readonly name: string }

/** Calls with `by` throw Fault('forbidden') for a person who is not an administrator. */
export interface Scopes {
  readonly list: (by: ClientMaker) => Promise<readonly PublicScope[]>
  /** Throws Fault('invalid_input' | 'conflict'). */
  readonly create: (by: ClientMaker, scope: NewScope) => Promise<PublicScope>
  /** Throws Fault('invalid_input' | 'not_found'). */
  readonly update: (
    by: ClientMaker,
    name: string,
    change: Partial<ScopeInput>,
  ) => Promise<PublicScope>
  /** Removes a scope that nothing names, or gives a built-in one its first words back. Throws Fault('not_found' | 'conflict'). */
  readonly remove: (by: ClientMaker, name: string) => Promise<void>
  /** Every scope of the tenant. */
  readonly all: (tenant: Tenant) => Promise<readonly RegisteredScope[]>
  /** These scopes with their words, in the order of the registry. One that is not there any more is shown by its name. */
  readonly show: (tenant: Tenant, names: readonly string[]) => Promise<readonly ShownScope[]>
  /** Out of these names those that the tenant has. */
  readonly known: (tenant: Tenant, names: readonly string[]) => Promise<readonly string[]>
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly journal: Journal
  /** Does a server name this scope? Told by the platform; this room does not know servers. */
  readonly isUsed: (tenant: Tenant, name: string) => Promise<boolean>
}

/** Throws Fault('invalid_input') for a scope that the tenant does not have. */
export async function requireKnownScopes(
  scopes: Pick<Scopes, 'known'>,
  tenant: Tenant,
  names: readonly string[],
): Promise<readonly string[]> {
  const known = await scopes.known(tenant, names)
  if (names.every((name) => known.includes(name))) return names
  throw new Fault('invalid_input', {
    because: 'a scope is unknown',
    detail: { scopes: 'One of these scopes does not exist here.' },
  })
}

/** A client's description without the scopes that the tenant does not have (RFC 7591 §3.2.1). */
export async function withKnownScope<T extends { readonly scope?: string }>(
  scopes: Pick<Scopes, 'known'>,
  tenant: Tenant,
  metadata: T,
): Promise<T> {
  const { scope, ...rest } = metadata
  if (scope === undefined) return metadata
  const known = await scopes.known(tenant, parseScope(scope))
  // What is left of the description is all of it but the scope, which is optional.
  return { ...rest, ...(known.length === 0 ? {} : { scope: formatScope(known) }) } as T
}

/** The most scopes that a tenant adds. */
export const ownScopesMax = 200

/** Makes the registry of all tenants over one database. */
export function createScopes(needs: Needs): Scopes {
  const all = async (tenant: Tenant) => mergeRows(await readRows(needs.db, tenant))
  return {
    list: async (by) => {
      requireAdministrator(by)
      return all(by.tenant)
    },
    create: (by, scope) => createScope(needs, by, scope),
    update: (by, name, change) => updateScope(needs, by, name, change),
    remove: (by, name) => removeScope(needs, by, name),
    all,
    show: async (tenant, names) => showAmong(await all(tenant), names),
    known: async (tenant, names) => {
      if (names.length === 0) return []
      const known = new Set((await all(tenant)).map(({ name }) => name))
      return names.filter((name) => known.has(name))
    },
  }
}

function readRows(db: Database, { id: tenantId }: Tenant): Promise<readonly ScopeRow[]> {
  return findRows(db, { tenantId })
}

// Asked for every call to a server whose tools have scopes.
const findRows = steadyQuery((db, { tenantId }: { readonly tenantId: string }) =>
  db
    .selectFrom('scopes')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .orderBy('name')
    // Several who add the last one at once may get a few more.
    .limit(sql.lit(2 * ownScopesMax)),
)

function mergeRows(rows: readonly ScopeRow[]): readonly PublicScope[] {
  const own = new Map(rows.map((row) => [row.name, toScope(row)]))
  const builtIn = builtInScopes.map(
    (scope) => own.get(scope.name) ?? { ...scope, isBuiltIn: true, isOwn: false },
  )
  return [...builtIn, ...[...own.values()].filter(({ isBuiltIn }) => !isBuiltIn)]
}

function toScope({ name, words, icon, is_usual, includes }: ScopeRow): PublicScope {
  return {
    name,
    words,
    icon,
    isUsual: is_usual === 1,
    includes: JSON.parse(includes) as readonly string[], // only this file writes it
    isBuiltIn: builtInScopes.some((scope) => scope.name === name),
    isOwn: true,
  }
}

const iconOfOthers = '🔑'

function showAmong(
  registry: readonly RegisteredScope[],
  names: readonly string[],
): readonly ShownScope[] {
  const known = registry.filter(({ name }) => names.includes(name))
  const others = names.filter((name) => known.every((scope) => scope.name !== name))
  return [
    ...known.map((scope) => showOne(registry, scope)),
    ...others.map((name) => ({ name, words: name, icon: iconOfOthers })),
  ]
}

function showOne(
  registry: readonly RegisteredScope[],
  { name, words, icon }: RegisteredScope,
): ShownScope {
  const held = withIncluded(registry, [name])
  const others = registry.filter((scope) => held.has(scope.name) && scope.name !== name)
  const holds = others.map((scope) => scope.words)
  return { name, words, icon, ...(holds.length === 0 ? {} : { holds }) }
}

async function createScope(
  needs: Needs,
  by: ClientMaker,
  { name: given, ...input }: NewScope,
): Promise<PublicScope> {
  requireAdministrator(by)
  const name = checkScopeName(given)
  const row = rowOf(by, { name, ...plain, ...checkScopeInput(input), now: needs.clock.now() })
  await requireIncluded(needs, by.tenant, { name, includes: input.includes ?? [] })
  if (isBuiltIn(name)) throw taken()
  return needs.db.transaction().execute(async (tx) => {
    await requireRoom(tx, by.tenant)
    const stored = await tx
      .insertInto('scopes')
      .values(row)
      .onConflict((conflict) => conflict.columns(['tenant_id', 'name']).doNothing())
      .returningAll()
      .executeTakeFirst()
    if (stored === undefined) throw taken()
    await note(needs, { tx, by, name }, 'scope.created')
    return toScope(stored)
  })
}

/** What a scope has about which nothing is said. */
const plain = { words: '', icon: iconOfOthers, isUsual: true, includes: [] } as const

function rowOf(
  { tenant, user }: ClientMaker,
  facts: ScopeInput & { readonly name: string; readonly now: number },
): ScopeRow {
  return {
    tenant_id: tenant.id,
    name: facts.name,
    words: facts.words,
    icon: facts.icon,
    is_usual: facts.isUsual ? 1 : 0,
    includes: JSON.stringify(facts.includes),
    created_at: facts.now,
    updated_at: facts.now,
    created_by: user?.id ?? null,
  }
}

async function requireIncluded(
  needs: Needs,
  tenant: Tenant,
  { name, includes }: { readonly name: string; readonly includes: readonly string[] },
): Promise<void> {
  if (includes.length === 0) return
  const registry = mergeRows(await readRows(needs.db, tenant))
  const isFine = (one: string) => one !== name && registry.some((scope) => scope.name === one)
  const wrong = includes.find((one) => !isFine(one) || hasFixedMeaning(one))
  if (wrong === undefined) return
  throw invalid('includes', 'Name other scopes of this list that open tools.')
}

async function requireRoom(tx: Database, { id }: Tenant): Promise<void> {
  const { count } = await tx
    .selectFrom('scopes')
    .select((of) => of.fn.countAll<number>().as('count'))
    .where('tenant_id', '=', id)
    .executeTakeFirstOrThrow()
  if (count >= ownScopesMax) throw invalid('name', `There are ${ownScopesMax} scopes already.`)
}

async function updateScope(
  needs: Needs,
  by: ClientMaker,
  name: string,
  input: Partial<ScopeInput>,
): Promise<PublicScope> {
  requireAdministrator(by)
  const change = checkScopeInput(input)
  if (hasFixedMeaning(name) && (change.includes ?? change.isUsual) !== undefined) {
    throw invalid('name', 'Only the words and the icon of this scope can be changed.')
  }
  await requireIncluded(needs, by.tenant, { name, includes: change.includes ?? [] })
  const columns = columnsOf(change)
  const now = needs.clock.now()
  const builtIn = builtInScopes.find((scope) => scope.name === name)
  return needs.db.transaction().execute(async (tx) => {
    const stored =
      builtIn === undefined
        ? await tx
            .updateTable('scopes')
            .set({ ...columns, updated_at: now })
            .where('tenant_id', '=', by.tenant.id)
            .where('name', '=', nameToFind(name))
            .returningAll()
            .executeTakeFirst()
        : await tx
            .insertInto('scopes')
            .values(rowOf(by, { ...builtIn, ...change, now }))
            .onConflict((conflict) =>
              conflict.columns(['tenant_id', 'name']).doUpdateSet({ ...columns, updated_at: now }),
            )
            .returningAll()
            .executeTakeFirst()
    if (stored === undefined) throw notFound()
    await note(needs, { tx, by, name }, 'scope.updated', Object.keys(change))
    return toScope(stored)
  })
}

function columnsOf({ words, icon, isUsual, includes }: Partial<ScopeInput>): Partial<ScopeRow> {
  return {
    ...(words === undefined ? {} : { words }),
    ...(icon === undefined ? {} : { icon }),
    ...(isUsual === undefined ? {} : { is_usual: isUsual ? 1 : 0 }),
    ...(includes === undefined ? {} : { includes: JSON.stringify(includes) }),
  }
}

async function removeScope(needs: Needs, by: ClientMaker, name: string): Promise<void> {
  requireAdministrator(by)
  const isOneOfOurs = isBuiltIn(name)
  if (!isOneOfOurs && (await isNamed(needs, by.tenant, name))) {
    throw new Fault('conflict', {
      because: 'a server or another scope names this scope',
      detail: { name: 'A server or another scope still names it. Take it out there first.' },
    })
  }
  await needs.db.transaction().execute(async (tx) => {
    const gone = await tx
      .deleteFrom('scopes')
      .where('tenant_id', '=', by.tenant.id)
      .where('name', '=', nameToFind(name))
      .returning('name')
      .executeTakeFirst()
    if (gone === undefined) throw notFound()
    await note(needs, { tx, by, name }, isOneOfOurs ? 'scope.updated' : 'scope.deleted')
  })
}

async function isNamed(needs: Needs, tenant: Tenant, name: string): Promise<boolean> {
  const registry = mergeRows(await readRows(needs.db, tenant))
  if (registry.some(({ includes }) => includes.includes(name))) return true
  return needs.isUsed(tenant, name)
}

/** What cannot be a name must not reach a database. */
function nameToFind(name: string): string {
  if (isScopeToken(name)) return name
  throw notFound()
}

function isBuiltIn(name: string): boolean {
  return builtInScopes.some((scope) => scope.name === name)
}

/** What these permit is decided by a standard, or by every server that has no list of its own. */
export function hasFixedMeaning(name: string): boolean {
  return name === toolsScope || Object.values<string>(identityScopes).includes(name)
}

async function note(
  { journal }: Needs,
  { tx, by, name }: { readonly tx: Database; readonly by: ClientMaker; readonly name: string },
  type: EntryType,
  changed?: readonly string[],
): Promise<void> {
  await journal.record(tx, {
    tenantId: by.tenant.id,
    type,
    actor: actorOf(by, 'manual'),
    subject: { kind: 'scope', id: name },
    ...(changed === undefined ? {} : { data: { changed } }),
  })
}

function taken(): Fault {
  return new Fault('conflict', {
    because: 'the scope is there already',
    detail: { name: 'There is a scope of this name already.' },
  })
}

function notFound(): Fault {
  return new Fault('not_found', { because: 'no such scope of this tenant’s own' })
}
