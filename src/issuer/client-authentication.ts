// Who is the client that posts this form? (RFC 6749 §2.3, RFC 7009 §2.1.) Everything that is wrong with the proof is
// `invalid_client`, in the same words; only two proofs at once are an invalid request.
import type { Clock } from '../base/clock.ts'
import { Fault, callersFault } from '../base/fault.ts'
import { constantTimeEqual } from '../base/keyring.ts'
import type { Keyring } from '../base/keyring.ts'
import { Secret } from '../base/secret.ts'
import { readParameters } from '../oauth/parameters.ts'
import type { Parameters } from '../oauth/parameters.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import { hotQuery } from '../store/hot-query.ts'
import { assertionType, claimedClient } from './client-assertion.ts'
import type { ClientAssertions } from './client-assertion.ts'
import { isClientId, toClient } from './clients.ts'
import type { Client } from './clients.ts'
import type { FormRequest } from './form-request.ts'
import type { ClientAuthMethod } from './metadata.ts'

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly keyring: Keyring
  readonly assertions: ClientAssertions
}

interface Attempt {
  readonly authorization: string | undefined
  readonly parameters: Parameters
  /** Counts what a client does that has proved itself. Throws Fault('too_many_requests'). */
  readonly count?: FormRequest['count']
}

/** The client that proved itself as it is registered to. Throws Fault('invalid_client') or Fault('invalid_request'). */
export async function authenticateClient(
  needs: Needs,
  tenant: Tenant,
  attempt: Attempt,
): Promise<Client> {
  const presented = readPresented(attempt)
  const { client, secrets } = await findWithSecrets(needs.db, tenant, presented.clientId)
  const isProven = !('secret' in presented) || isOneOf(needs, secrets, presented.secret)
  if (client === undefined) throw refused('there is no such client')
  if (client.isDisabled) throw refused('the client is disabled')
  if (!mayPresent(client, presented.method)) {
    throw refused(`the client is not registered for ${presented.method}`)
  }
  if (!isProven) throw refused('the client secret is wrong')
  // Anybody can name a public client, so what is done in its name is not its own.
  if (presented.method !== 'none') await attempt.count?.({ kind: 'client', id: client.id })
  if (presented.method === 'private_key_jwt') {
    await needs.assertions.spend(tenant, client, presented.assertion)
  }
  return client
}

/** The client that a form names, proven or not; undefined for one that names none in a form that can be read. */
export function namedClient({
  authorization,
  body,
}: Pick<FormRequest, 'authorization' | 'body'>): string | undefined {
  try {
    const parameters = readParameters(new URLSearchParams(body))
    return readPresented({ authorization, parameters }).clientId
  } catch {
    return undefined // Whoever looks at the proof itself says what is wrong with it.
  }
}

/**
 * Before a form's client is asked for proof: one that describes itself may come here first, so `find` is called with the
 * URL that it is named by. Other clients are left alone.
 */
export async function meetClient(
  find: (tenant: Tenant, url: string) => Promise<unknown>,
  tenant: Tenant,
  request: Pick<FormRequest, 'authorization' | 'body'>,
): Promise<void> {
  const clientId = namedClient(request) ?? ''
  if (/^https?:/i.test(clientId)) await find(tenant, clientId)
}

const secretMethods: ReadonlySet<string> = new Set(['client_secret_basic', 'client_secret_post'])

/**
 * A client proves itself in the way that it registered. Where a person pasted a secret into a program, nobody registered
 * a way: the program sends it as it does, in the header or in the body (RFC 6749 §2.3.1).
 */
function mayPresent({ kind, metadata }: Client, method: string): boolean {
  const registered = metadata.token_endpoint_auth_method
  if (registered === method) return true
  return kind === 'manual' && secretMethods.has(registered) && secretMethods.has(method)
}

type Presented =
  | { readonly method: 'none'; readonly clientId: string }
  | {
      readonly method: 'private_key_jwt'
      readonly clientId: string
      readonly assertion: Secret
    }
  | {
      readonly method: Exclude<ClientAuthMethod, 'none' | 'private_key_jwt'>
      readonly clientId: string
      readonly secret: Secret
    }

function readPresented({ authorization, parameters }: Attempt): Presented {
  const secret = parameters.get('client_secret')
  const hasAssertion = parameters.has('client_assertion') || parameters.has('client_assertion_type')
  const mechanisms = [authorization, secret, hasAssertion || undefined]
  // RFC 6749 §2.3: a client must not use more than one way in one request.
  if (mechanisms.filter((mechanism) => mechanism !== undefined).length > 1) {
    throw callersFault('invalid_request', 'the client proves itself in two ways at once')
  }
  if (authorization !== undefined) return readBasic(authorization, parameters)
  if (hasAssertion) return readAssertion(parameters)
  const clientId = parameters.get('client_id')
  if (clientId === undefined) throw malformed('no client is named')
  if (secret === undefined) return { method: 'none', clientId }
  return { method: 'client_secret_post', clientId, secret: new Secret(secret) }
}

/** RFC 7521 §4.2: the assertion names its client; a `client_id` beside it must be the same. */
function readAssertion(parameters: Parameters): Presented {
  const text = parameters.get('client_assertion')
  if (text === undefined) throw malformed('there is no assertion')
  if (parameters.get('client_assertion_type') !== assertionType) {
    throw malformed('the type of assertion is not supported')
  }
  const assertion = new Secret(text)
  const clientId = claimedClient(assertion)
  if ((parameters.get('client_id') ?? clientId) !== clientId) {
    throw refused('the assertion names another client')
  }
  return { method: 'private_key_jwt', clientId, assertion }
}

// Decoders skip what they don't know, so the alphabet is checked first (RFC 7617 §2, RFC 4648 §3.3).
const basicCredentials = /^Basic +([A-Za-z0-9+/]+={0,2})$/i

function readBasic(authorization: string, parameters: Parameters): Presented {
  const [, encoded] = basicCredentials.exec(authorization.trim()) ?? []
  if (encoded === undefined) throw malformed('the Authorization header is not Basic credentials')
  const decoded = decodeUtf8(Buffer.from(encoded, 'base64'))
  const colon = decoded.indexOf(':')
  if (colon < 1) throw malformed('the Basic credentials have no client id and secret')
  const clientId = formDecode(decoded.slice(0, colon))
  const bodyId = parameters.get('client_id')
  if (bodyId !== undefined && bodyId !== clientId) {
    throw callersFault('invalid_request', 'header and body name two clients')
  }
  const secret = new Secret(formDecode(decoded.slice(colon + 1)))
  return { method: 'client_secret_basic', clientId, secret }
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw malformed('the Basic credentials are not UTF-8', error)
  }
}

/** RFC 6749 §2.3.1: id and secret are form-urlencoded before they are joined. */
function formDecode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch (error) {
    throw malformed('the Basic credentials are not form-urlencoded', error)
  }
}

/** Is this the secret of the client with this id? */
export async function isClientSecret(
  needs: Pick<Needs, 'db' | 'clock' | 'keyring'>,
  tenant: Tenant,
  presented: { readonly clientId: string; readonly secret: Secret },
): Promise<boolean> {
  const { secrets } = await findWithSecrets(needs.db, tenant, presented.clientId)
  return isOneOf(needs, secrets, presented.secret)
}

interface StoredSecret {
  readonly digest: string | null
  readonly expiresAt: number | null
}

/** Compares keyed digests of the whole secret; does the same work for a client that does not exist. */
function isOneOf(
  { clock, keyring }: Pick<Needs, 'clock' | 'keyring'>,
  secrets: readonly StoredSecret[],
  presented: Secret,
): boolean {
  const digests = keyring.digests('client_secret', presented)
  const now = clock.now()
  return secrets.some(
    ({ digest: stored, expiresAt }) =>
      stored !== null &&
      (expiresAt === null || expiresAt > now) &&
      digests.some((digest) => constantTimeEqual(digest, stored)),
  )
}

interface WithSecrets {
  readonly client: Client | undefined
  readonly secrets: readonly StoredSecret[]
}

async function findWithSecrets(db: Database, tenant: Tenant, id: string): Promise<WithSecrets> {
  if (!isClientId(id)) return { client: undefined, secrets: [] }
  const secrets = await findJoined(db, { tenantId: tenant.id, id })
  const [row] = secrets
  return { client: row && toClient(row), secrets }
}

// Asked for every token: one question instead of two.
const findJoined = hotQuery(
  (db, { tenantId, id }: { readonly tenantId: string; readonly id: string }) =>
    db
      .selectFrom('clients')
      .leftJoin('client_secrets as secret', (join) =>
        join
          .onRef('secret.tenant_id', '=', 'clients.tenant_id')
          .onRef('secret.client_id', '=', 'clients.id'),
      )
      .selectAll('clients')
      .select(['secret.secret_digest as digest', 'secret.expires_at as expiresAt'])
      .where('clients.tenant_id', '=', tenantId)
      .where('clients.id', '=', id),
)

/** What the caller may know: nobody is named yet whom it could be about. */
function malformed(because: string, cause?: unknown): Fault {
  return new Fault('invalid_client', { because, isForCaller: true, cause })
}

function refused(because: string): Fault {
  return new Fault('invalid_client', { because })
}
