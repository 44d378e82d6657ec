// A client that looks after its own registration (RFC 7592): reads, replaces and removes it with the token that it got when it
// registered. Only clients that can prove themselves have one: a public registration is shared by all who send the same words.
import type { Clock } from '../base/clock.ts'
import { Fault, callersFault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import { Secret } from '../base/secret.ts'
import type { EntryData, EntryType, Journal } from '../journal/entries.ts'
import { readClientMetadata } from '../oauth/client-metadata.ts'
import { asObject, field } from '../oauth/shapes.ts'
import type { JsonObject } from '../oauth/shapes.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { ClientRow } from '../store/schema.ts'
import { isClientSecret } from './client-authentication.ts'
import { deleteClient } from './client-administration.ts'
import { clientInformation } from './client-registration.ts'
import { clientRow, findClientRow, ourMetadata, toClient } from './clients.ts'
import type { OurClientMetadata } from './clients.ts'
import type { FormRequest } from './form-request.ts'
import { withKnownScope } from './scope-registry.ts'
import type { Scopes } from './scope-registry.ts'

/**
 * Every call throws Fault('invalid_token') unless the registration token of a living client came with it, the same for a
 * client that never was; and Fault('forbidden') while an administrator has the client switched off (RFC 7592 §2).
 */
export interface Registrations {
  /** RFC 7592 §2.1. The answer holds no secret: we do not know it. */
  readonly read: (tenant: Tenant, named: NamedClient) => Promise<ClientInformation>
  /** Replaces the whole description (RFC 7592 §2.2). Throws the Faults of a registration (RFC 7591 §3.2.2). */
  readonly update: (tenant: Tenant, named: NamedClient, json: unknown) => Promise<ClientInformation>
  /** Takes everything that hangs on the client with it: grants, tokens, consents (RFC 7592 §2.3). */
  readonly remove: (tenant: Tenant, named: NamedClient) => Promise<void>
}

/** The client in the path, and what came in the Authorization header. */
export interface NamedClient {
  readonly id: string
  readonly authorization: string | undefined
  /** Counts what the client does, once it is proven. Throws Fault('too_many_requests'). */
  readonly count?: FormRequest['count']
}

type ClientInformation = Record<string, unknown>

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly keyring: Keyring
  readonly journal: Journal
  readonly scopes: Pick<Scopes, 'known'>
}

/** Makes the management of registrations over one database. */
export function createRegistrations(needs: Needs): Registrations {
  return {
    read: async (tenant, named) => {
      const { row, token } = await requireManaged(needs, tenant, named)
      return describe(tenant, row, token)
    },
    update: async (tenant, named, json) => {
      const { row, token } = await requireManaged(needs, tenant, named)
      const metadata = await readUpdate(needs, { tenant, row }, json)
      return describe(tenant, await replace(needs, { tenant, row }, metadata), token)
    },
    remove: async (tenant, named) => {
      const { row } = await requireManaged(needs, tenant, named)
      await remove(needs, { tenant, row })
    },
  }
}

interface Managed {
  readonly tenant: Tenant
  readonly row: ClientRow
}

// RFC 6750 §2.1, with a token of ours.
const bearer = /^bearer +(?<token>mcp_reg_[\w-]{43}) *$/i

/** The client and the token that was right for it; the same work is done for a client that does not exist. */
async function requireManaged(
  { db, keyring }: Needs,
  tenant: Tenant,
  { id, authorization, count }: NamedClient,
): Promise<{ readonly row: ClientRow; readonly token: Secret }> {
  const text = bearer.exec(authorization ?? '')?.groups?.['token']
  if (text === undefined) throw refused('no registration token came with this')
  const token = new Secret(text)
  const row = await findClientRow(db, tenant, id)
  const expected = row?.registration_token_digest ?? ''
  const isRight = keyring.matches('registration_token', token, expected)
  if (row === undefined || !isRight) throw refused('the token is not of such a client')
  await count?.({ kind: 'client', id: row.id })
  if (row.disabled_at === null) return { row, token }
  throw new Fault('forbidden', { because: 'an administrator has switched the client off' })
}

function describe(tenant: Tenant, row: ClientRow, token: Secret): ClientInformation {
  return clientInformation(tenant, { client: toClient(row), issuedAt: row.created_at, token })
}

// RFC 7592 §2.2: these are the server's.
const ours = [
  'registration_access_token',
  'registration_client_uri',
  'client_secret_expires_at',
  'client_id_issued_at',
]

/** The new description, read by the rules of a first one. */
async function readUpdate(
  needs: Needs,
  { tenant, row }: Managed,
  json: unknown,
): Promise<OurClientMetadata> {
  const document = asObject(json) ?? wrong('the description is not a JSON object')
  if (field(document, 'client_id') !== row.id) wrong('client_id is not that of the client')
  const set = ours.find((name) => Object.hasOwn(document, name))
  if (set !== undefined) wrong(`${set} is not for the client to set`)
  await requireOwnSecret(needs, { tenant, row }, document)
  const description = await withKnownScope(needs.scopes, tenant, readClientMetadata(document))
  const metadata = ourMetadata(description)
  if (proofOf(metadata.token_endpoint_auth_method) === proofOf(row.token_endpoint_auth_method)) {
    return metadata
  }
  return wrong('an update gives out no secrets, so the way to prove itself stays of its kind')
}

/** RFC 7592 §2.2: a secret that is sent along must be the one that we gave; it is never taken over. */
async function requireOwnSecret(
  needs: Needs,
  { tenant, row }: Managed,
  document: JsonObject,
): Promise<void> {
  const sent = field(document, 'client_secret')
  if (sent === undefined) return
  const isOurs =
    typeof sent === 'string' &&
    (await isClientSecret(needs, tenant, { clientId: row.id, secret: new Secret(sent) }))
  if (!isOurs) wrong('client_secret is not that of the client')
}

function proofOf(method: string): string {
  return method.startsWith('client_secret') ? 'secret' : method
}

async function replace(
  needs: Needs,
  { tenant, row }: Managed,
  metadata: OurClientMetadata,
): Promise<ClientRow> {
  const { id } = row
  const made = clientRow({ tenant, id, kind: 'registered', metadata, now: row.created_at })
  return needs.db.transaction().execute(async (tx) => {
    const replaced = await tx
      .updateTable('clients')
      .set({
        name: made.name,
        metadata: made.metadata,
        // Whoever agreed to what stood there before is asked again.
        metadata_digest: made.metadata_digest,
        token_endpoint_auth_method: made.token_endpoint_auth_method,
        registration_digest: null,
      })
      .where('tenant_id', '=', tenant.id)
      .where('id', '=', id)
      .where('registration_token_digest', '=', row.registration_token_digest)
      .where('disabled_at', 'is', null)
      .returningAll()
      .executeTakeFirst()
    if (replaced === undefined) throw refused('the client changed at the same moment')
    const changed = changedFields(toClient(row).metadata, metadata)
    await note(needs, { tx, tenant, row }, 'client.updated', { changed })
    return replaced
  })
}

function changedFields(before: OurClientMetadata, after: OurClientMetadata): readonly string[] {
  const texts = (metadata: OurClientMetadata) =>
    new Map(Object.entries(metadata).map(([name, value]) => [name, JSON.stringify(value)]))
  const [old, made] = [texts(before), texts(after)]
  const names = new Set([...old.keys(), ...made.keys()])
  return [...names].filter((name) => old.get(name) !== made.get(name))
}

async function remove(needs: Needs, { tenant, row }: Managed): Promise<void> {
  await needs.db.transaction().execute(async (tx) => {
    const { isDeleted, grants } = await deleteClient({ ...needs, tx }, tenant, row.id)
    if (!isDeleted) throw refused('the client went at the same moment')
    await note(needs, { tx, tenant, row }, 'client.deleted', { grants })
  })
}

function note(
  { journal }: Needs,
  { tx, tenant, row: { id } }: Managed & { readonly tx: Database },
  type: EntryType,
  data: EntryData,
): Promise<void> {
  const client = { kind: 'client', id } as const
  return journal.record(tx, { tenantId: tenant.id, type, actor: client, subject: client, data })
}

function refused(because: string): Fault {
  return new Fault('invalid_token', { because })
}

function wrong(because: string): never {
  throw callersFault('invalid_client_metadata', because)
}
