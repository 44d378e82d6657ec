// Us as a client of somebody else's authorization server: given by an admin, by our own document (CIMD), or registered
// there (RFC 7591). Owns the registrations, each bound to the issuer that knows it and never used at another.
import type { Clock } from '../base/clock.ts'
import { Fault, isFault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Log } from '../base/log.ts'
import type { Outbound } from '../base/outbound.ts'
import type { Secret } from '../base/secret.ts'
import type { Journal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import type { RegistrationRow } from '../store/schema.ts'
import { clientDocumentUrl, clientNameOf, redirectUriOf } from './client-document.ts'
import type { Discovery } from './discover.ts'
import { preferredAuthMethod, registerDynamically, unregister } from './dynamic-registration.ts'
import type {
  AuthMethod,
  ClientFacts,
  NewRegistration,
  RegistrationMethod,
} from './dynamic-registration.ts'
import type { TenantFacts } from './holder.ts'

/** Us as a client of one issuer. */
export interface Registration {
  readonly method: RegistrationMethod
  readonly issuer: string
  readonly redirectUri: string
  readonly clientId: string
  readonly clientSecret?: Secret
  readonly clientKey?: Secret
  readonly authMethod: AuthMethod
}

/** What an admin entered for a server. */
export interface Preregistered {
  readonly issuer?: string | undefined
  readonly clientId: string
  readonly clientSecret?: Secret | undefined
}

export interface RegistrationRequest {
  readonly tenant: TenantFacts
  readonly server: { readonly id: string; readonly name: string; readonly context: string }
  readonly discovery: Pick<Discovery, 'issuer'> & { readonly metadata: ClientFacts }
  readonly scopes: readonly string[]
  /** An app's page that takes the callback in place of ours. */
  readonly appUri?: string | undefined
  readonly preregistered?: Preregistered | undefined
  /** A key that proves us there, where the server takes one. */
  readonly clientKey?: Secret | undefined
}

/** Which registration, and as which client: one that was replaced meanwhile is not found. */
export interface RegistrationKey {
  readonly tenantId: string
  readonly serverId: string
  readonly issuer: string
  readonly redirectUri: string
  readonly clientId: string
}

export interface Register {
  /**
   * Our registration at the discovered issuer: the given one, else our document, else dynamic. Throws
   * Fault('registration_not_supported' | 'registration_failed' | 'issuer_mismatch' | …).
   */
  readonly registrationFor: (request: RegistrationRequest) => Promise<Registration>
  readonly find: (key: RegistrationKey, db?: Database) => Promise<Registration | undefined>
  /** Forgets a registration that the issuer no longer knows; one that an admin gave is kept. */
  readonly forget: (key: RegistrationKey) => Promise<void>
  /** The same for all that were made for a server. */
  readonly forgetMade: (tenantId: string, serverId: string) => Promise<void>
  /** Changes what proves a client that an admin gave; what hangs on the client goes on. */
  readonly changeProof: (
    db: Database,
    client: Pick<RegistrationKey, 'tenantId' | 'serverId' | 'clientId'>,
    proof: NewProof,
  ) => Promise<void>
  /** The redirect URI of an app that a document of ours, which is the client id, was made for. */
  readonly appUriOf: (
    client: Pick<RegistrationKey, 'tenantId' | 'serverId' | 'clientId'>,
  ) => Promise<string | undefined>
  /** Forgets all of a server's registrations, for instance because its URL changed. */
  readonly forgetServer: (db: Database, tenantId: string, serverId: string) => Promise<void>
}

/** What is new of it. */
export interface NewProof {
  readonly clientSecret?: Secret | undefined
  readonly clientKey?: Secret | undefined
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly keyring: Keyring
  readonly journal: Journal
  readonly outbound: Outbound
  readonly log: Log
}

/** At how many pages of apps the answers of one server may arrive: each is a client of ours there, and stays one. */
export const appPagesMax = 50

// A secret is renewed this long before it ends, so that it does not end under a sign-in.
const secretMarginMs = 10 * 60 * 1000

/** Makes the registrations of all tenants over one database. */
export function createRegister(needs: Needs): Register {
  const joinFlight = createFlights(needs)
  return {
    registrationFor: async (request) => {
      const stored = await readStored(needs, request)
      const known = stored && toRegistration(needs, stored)
      if (stored === undefined) await requireRoom(needs, request)
      if (request.preregistered) {
        return givenRegistration(needs, request, { given: request.preregistered, stored, known })
      }
      const isFine = stored && known && mayGoOn(needs, request, { stored, known })
      return isFine ? known : joinFlight(request)
    },

    find: async (key, db = needs.db) => {
      const row = await db
        .selectFrom('registrations')
        .selectAll()
        .where('tenant_id', '=', key.tenantId)
        .where('server_id', '=', key.serverId)
        .where('issuer', '=', key.issuer)
        .where('redirect_uri', '=', key.redirectUri)
        .where('client_id', '=', key.clientId)
        .executeTakeFirst()
      return row && toRegistration(needs, row)
    },

    forget: (key) => forget(needs, key),

    forgetMade: (tenantId, serverId) => forgetMade(needs, tenantId, serverId),

    changeProof: (db, client, proof) => changeProof({ ...needs, db }, client, proof),

    appUriOf: (client) => appUriOf(needs, client),

    forgetServer: async (db, tenantId, serverId) => {
      await db
        .deleteFrom('registrations')
        .where('tenant_id', '=', tenantId)
        .where('server_id', '=', serverId)
        .execute()
    },
  }
}

/** Whoever registers while somebody does, is registered along: fifty sign-ins are one client there. */
function createFlights(needs: Needs): (request: RegistrationRequest) => Promise<Registration> {
  const flights = new Map<string, Promise<Registration>>()
  return (request) => {
    const { tenant, server, discovery } = request
    const name = JSON.stringify([tenant.id, server.id, discovery.issuer, addressOf(request)])
    const running = flights.get(name)
    if (running) return running
    const started = registerAnew(needs, request).finally(() => flights.delete(name))
    flights.set(name, started)
    return started
  }
}

async function forgetMade(needs: Needs, tenantId: string, serverId: string): Promise<void> {
  const rows = await needs.db
    .selectFrom('registrations')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('server_id', '=', serverId)
    .execute()
  for (const row of rows) await forget(needs, keyOf(row))
}

async function appUriOf(
  { db }: Needs,
  client: Pick<RegistrationKey, 'tenantId' | 'serverId' | 'clientId'>,
): Promise<string | undefined> {
  const row = await db
    .selectFrom('registrations')
    .select('redirect_uri')
    .where('tenant_id', '=', client.tenantId)
    .where('server_id', '=', client.serverId)
    .where('client_id', '=', client.clientId)
    .where('method', '=', 'cimd')
    .executeTakeFirst()
  return row?.redirect_uri
}

/** Looks once more first: a flight may have ended since. */
async function registerAnew(needs: Needs, request: RegistrationRequest): Promise<Registration> {
  const stored = await readStored(needs, request)
  const known = stored && toRegistration(needs, stored)
  if (stored && known && mayGoOn(needs, request, { stored, known })) return known
  const made = await makeRegistration(needs, request)
  return store(needs, request, made, stored)
}

async function forget({ db, journal }: Needs, key: RegistrationKey): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const gone = await tx
      .deleteFrom('registrations')
      .where('tenant_id', '=', key.tenantId)
      .where('server_id', '=', key.serverId)
      .where('issuer', '=', key.issuer)
      .where('redirect_uri', '=', key.redirectUri)
      .where('client_id', '=', key.clientId)
      .where('method', '!=', 'preregistered')
      .returning('method')
      .executeTakeFirst()
    if (gone !== undefined) await note(journal, tx, key, 'registration.lost')
  })
}

function note(
  journal: Journal,
  tx: Database,
  { tenantId, serverId, issuer, clientId }: RegistrationKey,
  type: 'registration.created' | 'registration.lost',
): Promise<void> {
  return journal.record(tx, {
    tenantId,
    type,
    actor: { kind: 'system' },
    subject: { kind: 'server', id: serverId },
    data: { issuer, clientId: shortened(clientId) },
  })
}

const journalledCharsMax = 16

/** Strangers make client ids, some of them whole JWTs, which the journal takes for secrets: their beginning names them. */
function shortened(clientId: string): string {
  const isShort = clientId.length <= journalledCharsMax
  return isShort ? clientId : `${clientId.slice(0, journalledCharsMax)}…`
}

async function changeProof(
  { db, keyring }: Needs,
  { tenantId, serverId, clientId }: Pick<RegistrationKey, 'tenantId' | 'serverId' | 'clientId'>,
  { clientSecret, clientKey }: NewProof,
): Promise<void> {
  const rows = await db
    .selectFrom('registrations')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('server_id', '=', serverId)
    .where('client_id', '=', clientId)
    .where('method', '=', 'preregistered')
    .execute()
  const sealed = (row: RegistrationRow, secret: Secret | undefined, column: SealedColumn) =>
    secret === undefined ? {} : { [column]: keyring.seal(secret, placeOf(row, column)) }
  for (const row of rows) {
    await db
      .updateTable('registrations')
      .set({
        ...sealed(row, clientSecret, 'client_secret_sealed'),
        ...sealed(row, clientKey, 'client_key_sealed'),
      })
      .where('tenant_id', '=', tenantId)
      .where('server_id', '=', serverId)
      .where('issuer', '=', row.issuer)
      .where('redirect_uri', '=', row.redirect_uri)
      .execute()
  }
}

function readStored(
  { db }: Needs,
  request: RegistrationRequest,
): Promise<RegistrationRow | undefined> {
  const { tenant, server, discovery } = request
  return db
    .selectFrom('registrations')
    .selectAll()
    .where('tenant_id', '=', tenant.id)
    .where('server_id', '=', server.id)
    .where('issuer', '=', discovery.issuer)
    .where('redirect_uri', '=', addressOf(request))
    .executeTakeFirst()
}

function addressOf({ tenant, server, appUri }: RegistrationRequest): string {
  return appUri ?? redirectUriOf(tenant, server.context)
}

/** Who begins a sign-in names the page, so that a new one each time would register without end. */
async function requireRoom(
  { db }: Needs,
  { tenant, server, appUri }: RegistrationRequest,
): Promise<void> {
  if (appUri === undefined) return
  const pages = await db
    .selectFrom('registrations')
    .select('redirect_uri')
    .where('tenant_id', '=', tenant.id)
    .where('server_id', '=', server.id)
    .where('redirect_uri', '!=', redirectUriOf(tenant, server.context))
    .limit(appPagesMax)
    .execute()
  if (pages.length < appPagesMax) return
  throw new Fault('invalid_input', {
    because: `there are clients for ${appPagesMax} pages at this server`,
    detail: { callbackUrl: `At most ${appPagesMax} pages can be used with one server.` },
  })
}

// What an admin once gave and then took back is not used on; an expiring secret is renewed.
function mayGoOn(
  { clock }: Needs,
  request: RegistrationRequest,
  { stored: row, known }: { readonly stored: RegistrationRow; readonly known: Registration },
): boolean {
  if (row.method === 'preregistered') return false
  if (row.method === 'cimd') {
    const isSameKey = known.clientKey?.reveal() === request.clientKey?.reveal()
    return ownWay(request) === 'cimd' && isSameKey
  }
  return (row.client_secret_expires_at ?? Infinity) > clock.now() + secretMarginMs
}

/** How we become a client; `none` is where an admin has to enter one. */
export type RegistrationWay = RegistrationMethod | 'none'

/** The order of MCP authorization, "Client Registration Approaches". */
export function registrationWay(
  metadata: ClientFacts,
  { issuer, isGiven }: { readonly issuer: string; readonly isGiven: boolean },
): RegistrationWay {
  if (isGiven) return 'preregistered'
  const isDocumentRead = metadata.client_id_metadata_document_supported === true
  // Our document can be read by others only when it is at an https address (CIMD draft §3).
  if (isDocumentRead && issuer.startsWith('https://')) return 'cimd'
  return metadata.registration_endpoint === undefined ? 'none' : 'dcr'
}

function ownWay({ tenant, discovery }: RegistrationRequest): RegistrationWay {
  return registrationWay(discovery.metadata, { issuer: tenant.issuer, isGiven: false })
}

async function givenRegistration(
  needs: Needs,
  request: RegistrationRequest,
  facts: {
    readonly given: Preregistered
    readonly stored: RegistrationRow | undefined
    readonly known: Registration | undefined
  },
): Promise<Registration> {
  const { given, stored, known } = facts
  const { issuer, metadata } = request.discovery
  // MCP authorization, "Authorization Server Binding": a client id is known to one issuer only.
  if (given.issuer !== undefined && given.issuer !== issuer) {
    throw new Fault('issuer_mismatch', {
      because: `the client was given for ${given.issuer}, the server now names ${issuer}`,
    })
  }
  const { clientKey } = request
  const authMethod = methodOf({ ...given, clientKey }, metadata)
  if (known && isSame(known, { ...given, clientKey }, authMethod)) return known
  const { clientId, clientSecret } = given
  const made = { method: 'preregistered', clientId, clientSecret, clientKey, authMethod } as const
  return store(needs, request, made, stored)
}

type Proofs = Preregistered & NewProof

/** A key where the server lists it, or where nothing else is at hand. */
function methodOf(
  { clientSecret, clientKey }: Proofs,
  { token_endpoint_auth_methods_supported: listed }: ClientFacts,
): AuthMethod {
  const isKeyTaken = listed?.includes('private_key_jwt') === true
  if (clientKey !== undefined && (isKeyTaken || clientSecret === undefined))
    return 'private_key_jwt'
  return clientSecret === undefined ? 'none' : preferredAuthMethod(listed, { hasSecret: true })
}

function isSame(known: Registration, given: Proofs, authMethod: AuthMethod): boolean {
  return (
    known.clientKey?.reveal() === given.clientKey?.reveal() &&
    known.method === 'preregistered' &&
    known.clientId === given.clientId &&
    known.authMethod === authMethod &&
    known.clientSecret?.reveal() === given.clientSecret?.reveal()
  )
}

async function makeRegistration(
  { outbound, clock, log }: Needs,
  request: RegistrationRequest,
): Promise<NewRegistration> {
  const { tenant, server, discovery, scopes, appUri, clientKey } = request
  const way = ownWay(request)
  const mayRegister = discovery.metadata.registration_endpoint !== undefined
  // An app's page is on another origin than our document, which its reader need not accept: registering is surer.
  const isBetterRegistered = appUri !== undefined && mayRegister
  if (way === 'cimd' && !isBetterRegistered) {
    const clientId = clientDocumentUrl(tenant, server.context, appUri)
    const listed = discovery.metadata.token_endpoint_auth_methods_supported
    const isKeyTaken = clientKey !== undefined && listed?.includes('private_key_jwt') === true
    const authMethod = isKeyTaken ? 'private_key_jwt' : 'none'
    return { method: 'cimd', clientId, clientKey, authMethod }
  }
  if (!mayRegister) {
    throw new Fault('registration_not_supported', {
      because: `${discovery.issuer} has no registration endpoint and no client was given`,
    })
  }
  return registerDynamically(
    { outbound, clock, log },
    {
      metadata: discovery.metadata,
      clientName: clientNameOf(tenant),
      serverName: server.name,
      redirectUri: addressOf(request),
      scopes,
    },
  )
}

/**
 * Keeps a registration. Two processes may register at once: then the one stored first counts for both, because a code
 * must be redeemed by the client that asked for it, and the other is taken back. `replaced` is the row that makes way.
 */
async function store(
  needs: Needs,
  request: RegistrationRequest,
  made: NewRegistration,
  replaced: RegistrationRow | undefined,
): Promise<Registration> {
  const row = toRow(needs, request, made)
  const columns = ['tenant_id', 'server_id', 'issuer', 'redirect_uri'] as const
  const isKept = await needs.db.transaction().execute(async (tx) => {
    if (replaced !== undefined) await makeWay(tx, replaced)
    const stored = await tx
      .insertInto('registrations')
      .values(row)
      .onConflict((conflict) => conflict.columns(columns).doNothing())
      .returning('client_id')
      .executeTakeFirst()
    if (stored !== undefined) await note(needs.journal, tx, keyOf(row), 'registration.created')
    return stored !== undefined
  })
  if (!isKept) await takeBack(needs, made)
  const stored = await readStored(needs, request)
  if (stored === undefined) throw new Error('the registration was not stored')
  return toRegistration(needs, stored)
}

/** A client that nobody uses is deleted where that is offered; elsewhere the server sweeps it in its own time. */
async function takeBack(needs: Needs, made: NewRegistration): Promise<void> {
  try {
    await unregister(needs, made)
  } catch (error) {
    if (!isFault(error)) throw error
    needs.log.info({ code: error.code }, 'a registration could not be taken back')
  }
}

async function makeWay(tx: Database, row: RegistrationRow): Promise<void> {
  await tx
    .deleteFrom('registrations')
    .where('tenant_id', '=', row.tenant_id)
    .where('server_id', '=', row.server_id)
    .where('issuer', '=', row.issuer)
    .where('redirect_uri', '=', row.redirect_uri)
    .where('client_id', '=', row.client_id)
    .execute()
}

function keyOf(row: RegistrationRow): RegistrationKey {
  return {
    tenantId: row.tenant_id,
    serverId: row.server_id,
    issuer: row.issuer,
    redirectUri: row.redirect_uri,
    clientId: row.client_id,
  }
}

function toRow(
  { keyring, clock }: Needs,
  request: RegistrationRequest,
  made: NewRegistration,
): RegistrationRow {
  const { tenant, server, discovery } = request
  const key = {
    tenant_id: tenant.id,
    server_id: server.id,
    issuer: discovery.issuer,
    redirect_uri: addressOf(request),
  }
  const seal = (secret: Secret | undefined, column: SealedColumn) =>
    secret === undefined ? null : keyring.seal(secret, placeOf(key, column))
  return {
    ...key,
    method: made.method,
    client_id: made.clientId,
    client_secret_sealed: seal(made.clientSecret, 'client_secret_sealed'),
    client_secret_expires_at: made.clientSecretExpiresAt ?? null,
    token_endpoint_auth_method: made.authMethod,
    registration_access_token_sealed: seal(
      made.registrationAccessToken,
      'registration_access_token_sealed',
    ),
    registration_client_uri: made.registrationClientUri ?? null,
    created_at: clock.now(),
    client_key_sealed: seal(made.clientKey, 'client_key_sealed'),
  }
}

function toRegistration({ keyring }: Needs, row: RegistrationRow): Registration {
  const { client_secret_sealed: sealed, client_key_sealed: sealedKey } = row
  return {
    method: row.method as RegistrationMethod, // only toRow() writes it
    issuer: row.issuer,
    redirectUri: row.redirect_uri,
    clientId: row.client_id,
    ...(sealed === null
      ? {}
      : { clientSecret: keyring.open(sealed, placeOf(row, 'client_secret_sealed')) }),
    ...(sealedKey === null
      ? {}
      : { clientKey: keyring.open(sealedKey, placeOf(row, 'client_key_sealed')) }),
    authMethod: row.token_endpoint_auth_method as AuthMethod, // only toRow() writes it
  }
}

type SealedColumn =
  | 'client_secret_sealed'
  | 'client_key_sealed'
  | 'registration_access_token_sealed'
type RowKey = Pick<RegistrationRow, 'tenant_id' | 'server_id' | 'issuer' | 'redirect_uri'>

function placeOf(row: RowKey, column: SealedColumn) {
  return {
    tenant: row.tenant_id,
    table: 'registrations',
    row: JSON.stringify([row.server_id, row.issuer, row.redirect_uri]),
    column,
  }
}
