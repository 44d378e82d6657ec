// How clients come to be: by registering themselves (RFC 7591) or by an administrator's hand. Both are read by the same
// rules; the secret is shown once and kept as a keyed digest.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import { randomId, randomSecret } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Journal } from '../journal/entries.ts'
import { readClientMetadata } from '../oauth/client-metadata.ts'
import { formatScope } from '../oauth/scope.ts'
import type { Tenant } from '../people/tenants.ts'
import type { User } from '../people/users.ts'
import type { Database } from '../store/database.ts'
import { clientRow, ourMetadata, toClient } from './clients.ts'
import type { Client } from './clients.ts'
import type { ClientAuthMethod } from './metadata.ts'

/** What an administrator says about a new client. */
export interface NewClient {
  readonly name: string
  readonly redirectUris: readonly string[]
  /** `client_secret_basic` unless said otherwise. */
  readonly authMethod?: ClientAuthMethod
  /** The scopes it may ask for; all of a resource's when not said. */
  readonly scopes?: readonly string[]
}

/** A client that has just been made; the secret is shown here once. */
export interface MadeClient {
  readonly client: Client
  readonly issuedAt: number
  readonly secret: Secret | undefined
}

/** Who makes a client by hand: a person, or the operator at the command line. */
export interface ClientMaker {
  readonly tenant: Tenant
  readonly user?: User | undefined
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
}

/** Registers a client that describes itself and answers as RFC 7591 §3.2.1 says; Faults are those of §3.2.2. */
export async function registerClient(
  needs: Needs,
  tenant: Tenant,
  json: unknown,
): Promise<Record<string, unknown>> {
  const { client, issuedAt, secret } = await storeClient(needs, {
    by: { tenant },
    kind: 'registered',
    description: json,
  })
  return {
    client_id: client.id,
    client_id_issued_at: Math.floor(issuedAt / 1000),
    ...(secret === undefined
      ? {}
      : { client_secret: secret.reveal(), client_secret_expires_at: 0 }),
    ...client.metadata,
    client_name: client.name,
  }
}

/** Makes a client by hand. Throws Fault('forbidden') for a person who is not an administrator. */
export async function createClient(
  needs: Needs,
  by: ClientMaker,
  { name, redirectUris, authMethod, scopes }: NewClient,
): Promise<MadeClient> {
  if (by.user?.role === 'user') {
    throw new Fault('forbidden', { because: 'only an administrator makes clients' })
  }
  return storeClient(needs, {
    by,
    kind: 'manual',
    description: {
      client_name: name,
      redirect_uris: redirectUris,
      token_endpoint_auth_method: authMethod ?? 'client_secret_basic',
      grant_types: ['authorization_code', 'refresh_token'],
      ...(scopes === undefined ? {} : { scope: formatScope(scopes) }),
    },
  })
}

async function storeClient(
  { db, clock, random, keyring, journal }: Needs,
  facts: { readonly by: ClientMaker; readonly kind: Client['kind']; readonly description: unknown },
): Promise<MadeClient> {
  const { by, kind } = facts
  const metadata = ourMetadata(readClientMetadata(facts.description))
  const now = clock.now()
  const id = randomId(random, 'mcp_oauth_')
  const row = clientRow({ tenant: by.tenant, id, kind, metadata, now, createdBy: by.user?.id })
  const isPublic = metadata.token_endpoint_auth_method === 'none'
  const secret = isPublic ? undefined : randomSecret(random, 'mcp_cs_')
  await db.transaction().execute(async (tx) => {
    await tx.insertInto('clients').values(row).execute()
    if (secret !== undefined) await storeSecret(tx, { tenant: by.tenant, id, now }, digest(secret))
    await journal.record(tx, {
      tenantId: by.tenant.id,
      type: 'client.registered',
      actor: actorOf(by, kind),
      subject: { kind: 'client', id },
      // Only facts of ours: the journal refuses what looks like a secret, and a name may look like anything.
      data: { kind, authMethod: metadata.token_endpoint_auth_method },
    })
  })
  return { client: toClient(row), issuedAt: now, secret }

  function digest(value: Secret): string {
    return keyring.digest('client_secret', value)
  }
}

async function storeSecret(
  tx: Database,
  { tenant, id, now }: { readonly tenant: Tenant; readonly id: string; readonly now: number },
  digest: string,
): Promise<void> {
  await tx
    .insertInto('client_secrets')
    .values({
      tenant_id: tenant.id,
      client_id: id,
      secret_digest: digest,
      created_at: now,
      expires_at: null,
    })
    .execute()
}

function actorOf({ user }: ClientMaker, kind: Client['kind']) {
  if (user !== undefined) return { kind: 'user', id: user.id } as const
  return { kind: kind === 'manual' ? 'operator' : 'anonymous' } as const
}
