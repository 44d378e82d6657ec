// Clients by an administrator's hand: looking at them, changing them, switching them off, and giving them a new secret
// while the old one still works for a while. How they come to be is in client-registration.ts.
import type { Clock } from '../base/clock.ts'
import { Fault, isFault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Page, PageRequest } from '../base/page.ts'
import { randomSecret } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { EntryData, EntryType, Journal } from '../journal/entries.ts'
import { readClientMetadata } from '../oauth/client-metadata.ts'
import { formatScope, parseScope } from '../oauth/scope.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { ClientRow } from '../store/schema.ts'
import { listClients, showClient } from './client-list.ts'
import type { PublicClient } from './client-list.ts'
import { createClient, describeClient, storeSecret } from './client-registration.ts'
import type { NewClient } from './client-registration.ts'
import { actorOf, requireAdministrator } from './administrator.ts'
import type { ClientMaker } from './administrator.ts'
import { endOutOfReach, endTooWide } from './client-narrowing.ts'
import { clientRow, findClientRow, ourMetadata, toClient } from './clients.ts'
import type { Client } from './clients.ts'
import { endGrants } from './grants.ts'
import { requireKnownScopes } from './scope-registry.ts'
import type { Scopes } from './scope-registry.ts'

/** A client with a secret that is shown here once. */
export interface ClientWithSecret {
  readonly client: PublicClient
  readonly secret: Secret | undefined
}

/** What may be changed; what is absent stays as it is. */
export interface ClientChange {
  readonly name?: string
  readonly redirectUris?: readonly string[]
  /** None means: all that a resource has. Access tokens with any other end at once; a refresh gives narrower ones. */
  readonly scopes?: readonly string[]
  readonly dpopBoundAccessTokens?: boolean
  /** What it may no longer exchange tokens for ends at once. */
  readonly mayReach?: readonly string[]
  readonly disabled?: boolean
}

/** Every call throws Fault('forbidden') for a person who is not an administrator. */
export interface Clients {
  /** Throws Fault('invalid_input'). */
  readonly create: (by: ClientMaker, client: NewClient) => Promise<ClientWithSecret>
  /** Throws what making this client would throw, and makes nothing. */
  readonly check: (by: ClientMaker, client: NewClient) => Promise<void>
  readonly list: (by: ClientMaker, page?: PageRequest) => Promise<Page<PublicClient>>
  /** Throws Fault('not_found'), as do the calls below. */
  readonly get: (by: ClientMaker, id: string) => Promise<PublicClient>
  /** Throws Fault('invalid_input'). Switching off holds from the next request on. */
  readonly update: (by: ClientMaker, id: string, change: ClientChange) => Promise<PublicClient>
  /** Takes everything that hangs on the client with it: grants, tokens, consents. */
  readonly remove: (by: ClientMaker, id: string) => Promise<void>
  /** A new secret; the one before works until the overlap ends, any older one ends now. */
  readonly rotateSecret: (
    by: ClientMaker,
    id: string,
    overlap?: { readonly overlapMs?: number },
  ) => Promise<ClientWithSecret & { readonly previousSecretExpiresAt: number }>
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
  readonly scopes: Pick<Scopes, 'known'>
}

/** How long the secret before the new one works, unless said otherwise. */
export const overlapDefaultMs = 24 * 3_600_000
/** The longest that two secrets live side by side. */
export const overlapMaxMs = 30 * 24 * 3_600_000

/** Makes the administration of all tenants' clients over one database. */
export function createClients(needs: Needs): Clients {
  const { db, clock } = needs
  const get = async (tenant: Tenant, id: string) => {
    const row = (await findClientRow(db, tenant, id)) ?? notFound()
    return showClient(db, row, clock.now())
  }
  return {
    create: async (by, client) => {
      const { client: made, secret } = await withDetail(() => createClient(needs, by, client))
      return { client: await get(by.tenant, made.id), secret }
    },
    check: async (by, client) => {
      await withDetail(() => describeClient(needs, by, client))
    },
    list: async (by, page = {}) => {
      requireAdministrator(by)
      return listClients(db, by.tenant, page, clock.now())
    },
    get: async (by, id) => {
      requireAdministrator(by)
      return get(by.tenant, id)
    },
    update: async (by, id, change) => {
      await withDetail(() => updateClient(needs, by, id, change))
      return get(by.tenant, id)
    },
    remove: (by, id) => removeClient(needs, by, id),
    rotateSecret: async (by, id, { overlapMs = overlapDefaultMs } = {}) => {
      const rotated = await rotateSecret(needs, by, id, overlapMs)
      return { client: await get(by.tenant, id), ...rotated }
    },
  }
}

/** An administrator is told which field is wrong and why; RFC 7591's codes are for programs. */
async function withDetail<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!isFault(error)) throw error
    const field = fieldOf[error.code]
    if (field === undefined) throw error
    throw new Fault('invalid_input', {
      because: error.because,
      cause: error,
      detail: { [field]: `${error.because}.` },
    })
  }
}

const fieldOf: Readonly<Record<string, string>> = {
  invalid_redirect_uri: 'redirectUris',
  invalid_client_metadata: 'client',
  invalid_scope: 'scopes',
}

/**
 * Changes one client alone: what happens to it at the same moment waits, because the row is written before it is read.
 */
async function inTurn<T>(
  { db }: Needs,
  by: ClientMaker,
  id: string,
  work: (tx: Database, row: ClientRow) => Promise<T>,
): Promise<T> {
  requireAdministrator(by)
  // What cannot be an id must not reach a database; the row may still go until its turn comes.
  if ((await findClientRow(db, by.tenant, id)) === undefined) notFound()
  return db.transaction().execute(async (tx) => {
    const row = await tx
      .updateTable('clients')
      .set((columns) => ({ name: columns.ref('name') }))
      .where('tenant_id', '=', by.tenant.id)
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirst()
    return work(tx, row ?? notFound())
  })
}

async function updateClient(
  needs: Needs,
  by: ClientMaker,
  id: string,
  change: ClientChange,
): Promise<void> {
  requireAdministrator(by)
  await requireKnownScopes(needs.scopes, by.tenant, change.scopes ?? [])
  await inTurn(needs, by, id, async (tx, row) => {
    const described = describeAnew(by.tenant, row, change)
    const narrowed = { tx, by, id }
    if (change.mayReach !== undefined) await endOutOfReach(needs, narrowed, change.mayReach)
    if (change.scopes !== undefined) await endTooWide(needs, narrowed, change.scopes)
    const isDisabled = change.disabled ?? row.disabled_at !== null
    const disabledAt = isDisabled ? (row.disabled_at ?? needs.clock.now()) : null
    const changed = Object.keys(change).filter((field) => field !== 'disabled')
    // What an administrator narrowed, the client must not widen again by itself (RFC 7592 §2.2).
    const managed = changed.length > 0 ? { registration_token_digest: null } : {}
    await tx
      .updateTable('clients')
      // Whoever registers the same again must not be given what an administrator changed or switched off.
      .set({ ...described, disabled_at: disabledAt, registration_digest: null, ...managed })
      .where('tenant_id', '=', by.tenant.id)
      .where('id', '=', id)
      .execute()
    if (changed.length > 0) await note(needs, { tx, by, id }, 'client.updated', { changed })
    if (isDisabled !== (row.disabled_at !== null)) {
      await note(needs, { tx, by, id }, isDisabled ? 'client.disabled' : 'client.enabled')
    }
  })
}

/** The columns of the description with the change in them, read by the same rules as a new one. */
function describeAnew(tenant: Tenant, row: ClientRow, change: ClientChange): Partial<ClientRow> {
  const { name, redirectUris, scopes, mayReach, dpopBoundAccessTokens: dpop } = change
  if ([name, redirectUris, scopes, mayReach, dpop].every((said) => said === undefined)) return {}
  if (row.kind === 'document') {
    throw new Fault('invalid_input', {
      because: 'the client describes itself in its own document',
      detail: { client: 'Its name, addresses and scopes stand in its own document.' },
    })
  }
  const { metadata } = toClient(row)
  const { scope: before, resource, may_reach: reachedBefore, ...rest } = metadata
  const reached = mayReach ?? reachedBefore ?? []
  const wanted = scopes ?? parseScope(before)
  const read = readClientMetadata({
    ...rest,
    ...(name === undefined ? {} : { client_name: name }),
    ...(redirectUris === undefined ? {} : { redirect_uris: redirectUris }),
    ...(wanted.length === 0 ? {} : { scope: formatScope(wanted) }),
    ...(dpop === undefined ? {} : { dpop_bound_access_tokens: dpop }),
  })
  const kind = row.kind as Client['kind'] // only clientRow() writes it
  const ours = {
    ...ourMetadata(read, kind),
    ...(resource === undefined ? {} : { resource }),
    ...(reached.length === 0 ? {} : { may_reach: reached }),
  }
  const made = clientRow({ tenant, id: row.id, kind, metadata: ours, now: 0 })
  return { name: made.name, metadata: made.metadata, metadata_digest: made.metadata_digest }
}

async function removeClient(needs: Needs, by: ClientMaker, id: string): Promise<void> {
  await inTurn(needs, by, id, async (tx) => {
    const { grants } = await deleteClient({ ...needs, tx }, by.tenant, id)
    await note(needs, { tx, by, id }, 'client.deleted', { grants })
  })
}

/** Deletes a client with all that hangs on it, inside the caller's transaction, and counts the grants that ended so. */
export async function deleteClient(
  needs: Pick<Needs, 'clock' | 'journal'> & { readonly tx: Database },
  tenant: Tenant,
  id: string,
): Promise<{ readonly isDeleted: boolean; readonly grants: number }> {
  const { tx } = needs
  const { grants } = await tx
    .selectFrom('grants')
    .select((of) => of.fn.countAll<number>().as('grants'))
    .where('tenant_id', '=', tenant.id)
    .where('client_id', '=', id)
    .where('revoked_at', 'is', null)
    .executeTakeFirstOrThrow()
  // What others made from its tokens by exchange is worth nothing from now on, and is not to be listed as if it were.
  const facts = { reason: 'parent_ended', actor: { kind: 'system' } } as const
  await endGrants(needs, tenant, facts, (some) =>
    some.where('parent_grant_id', 'in', (from) =>
      from
        .selectFrom('grants')
        .select('id')
        .where('tenant_id', '=', tenant.id)
        .where('client_id', '=', id),
    ),
  )
  const { numDeletedRows } = await tx
    .deleteFrom('clients')
    .where('tenant_id', '=', tenant.id)
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
  return { isDeleted: numDeletedRows > 0n, grants }
}

async function rotateSecret(
  needs: Needs,
  by: ClientMaker,
  id: string,
  overlapMs: number,
): Promise<{ readonly secret: Secret; readonly previousSecretExpiresAt: number }> {
  const { clock, random, keyring } = needs
  const secret = randomSecret(random, 'mcp_cs_')
  return inTurn(needs, by, id, async (tx, row) => {
    if (!row.token_endpoint_auth_method.startsWith('client_secret')) {
      throw new Fault('invalid_input', {
        because: 'the client has no secret',
        detail: { client: 'This client proves itself without a secret.' },
      })
    }
    const now = clock.now()
    const previousSecretExpiresAt = now + Math.min(Math.max(overlapMs, 0), overlapMaxMs)
    await endSecrets(tx, row, { now, expiresAt: previousSecretExpiresAt })
    const digest = keyring.digest('client_secret', secret)
    await storeSecret(tx, { tenant: by.tenant, id, now }, digest)
    await note(needs, { tx, by, id }, 'client.secret_rotated', { previousSecretExpiresAt })
    return { secret, previousSecretExpiresAt }
  })
}

/** The current secret ends with the overlap; those that were ending already end now, so that two are alive at most. */
async function endSecrets(
  tx: Database,
  { tenant_id, id }: ClientRow,
  { now, expiresAt }: { readonly now: number; readonly expiresAt: number },
): Promise<void> {
  await tx
    .deleteFrom('client_secrets')
    .where('tenant_id', '=', tenant_id)
    .where('client_id', '=', id)
    .$if(expiresAt > now, (some) => some.where('expires_at', 'is not', null))
    .execute()
  await tx
    .updateTable('client_secrets')
    .set({ expires_at: expiresAt })
    .where('tenant_id', '=', tenant_id)
    .where('client_id', '=', id)
    .execute()
}

function note(
  { journal }: Needs,
  { tx, by, id }: { readonly tx: Database; readonly by: ClientMaker; readonly id: string },
  type: EntryType,
  data: EntryData = {},
): Promise<void> {
  return journal.record(tx, {
    tenantId: by.tenant.id,
    type,
    actor: actorOf(by, 'manual'),
    subject: { kind: 'client', id },
    data,
  })
}

function notFound(): never {
  throw new Fault('not_found', { because: 'no such client in this tenant' })
}
