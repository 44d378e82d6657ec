// Clients whose id is the URL of a document about themselves (Client ID Metadata Documents). Owns fetching it, believing
// it for a bounded time, and noticing that it changed; what may stand in it is read by oauth/client-metadata.ts.
import { createBoundedMap } from '../base/bounded.ts'
import type { Clock } from '../base/clock.ts'
import { Fault, isFault } from '../base/fault.ts'
import type { Log } from '../base/log.ts'
import type { Outbound } from '../base/outbound.ts'
import type { Journal } from '../journal/entries.ts'
import { refuseSecrets } from '../journal/no-secrets.ts'
import { checkClientDocumentUrl, readClientDocument } from '../oauth/client-metadata.ts'
import { freshnessMs } from '../oauth/freshness.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { ClientRow } from '../store/schema.ts'
import { clientRow, findClient, ourMetadata, toClient } from './clients.ts'
import type { Client } from './clients.ts'
import { withKnownScope } from './scope-registry.ts'
import type { Scopes } from './scope-registry.ts'

export interface ClientDocuments {
  /** The client behind a URL, fetched when it is not known freshly. Throws Fault('invalid_client'). */
  readonly find: (tenant: Tenant, url: string) => Promise<Client>
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly outbound: Outbound
  readonly journal: Journal
  readonly scopes: Pick<Scopes, 'known'>
  readonly log: Log
}

// CIMD draft §6.6: a document is small; no redirects (§4), so that the id is where the document is.
const limits = { bytes: 5 * 1024, timeMs: 5000, redirects: 0 }
const minuteMs = 60_000
const refusalMs = minuteMs
const refusalsMax = 1000
const underwayMax = 100
/** Fewer for one host, so that a slow one neither keeps all others waiting nor is flooded through us. */
const underwayPerHostMax = 20

/** Makes the reader of client documents; `allowLoopback` is for development only (CIMD draft §3). */
export function createClientDocuments(
  needs: Needs,
  { allowLoopback }: { readonly allowLoopback: boolean },
): ClientDocuments {
  const { db, clock } = needs
  const refusals = createRefusals(clock)
  const underway = new Map<string, Flight>()

  const findKnown = async (tenant: Tenant, url: string): Promise<Client | undefined> => {
    const known = await findClient(db, tenant, url)
    const isUsable = known?.isDisabled === true || (known?.freshUntil ?? 0) > clock.now()
    return isUsable ? known : undefined
  }

  // One fetch at a time for one client, however many ask.
  const fetchOnce = (tenant: Tenant, url: string): Promise<Client> => {
    const key = `${tenant.id} ${url}`
    const running = underway.get(key)
    if (running !== undefined) return running.client
    const { hostname } = new URL(url)
    const ofHost = [...underway.values()].filter((flight) => flight.hostname === hostname)
    if (underway.size >= underwayMax || ofHost.length >= underwayPerHostMax) throw busy()
    // Somebody else's fetch may have ended between our look and now, so the flight begins with another look.
    const fetching = findKnown(tenant, url)
      .then((known) => known ?? fetchClient(needs, tenant, url))
      .catch((error: unknown) => {
        if (isFault(error)) refusals.remember(key)
        throw error
      })
      .finally(() => underway.delete(key))
    underway.set(key, { hostname, client: fetching })
    return fetching
  }

  return {
    find: async (tenant, url) => {
      if (!checkClientDocumentUrl(url, allowLoopback)) {
        throw refused('the client id is not the URL of a document')
      }
      requireWritable(url)
      const known = await findKnown(tenant, url)
      if (known !== undefined) return known
      if (refusals.has(`${tenant.id} ${url}`))
        throw refused('the document was refused a moment ago')
      return fetchOnce(tenant, url)
    },
  }
}

/** A document that is being fetched. */
interface Flight {
  readonly hostname: string
  readonly client: Promise<Client>
}

/** The journal writes client ids down and takes nothing that looks like a secret. */
function requireWritable(url: string): void {
  try {
    refuseSecrets({ clientId: url })
  } catch (cause) {
    throw new Fault('invalid_client', { because: 'the client id looks like a secret', cause })
  }
}

async function fetchClient(needs: Needs, tenant: Tenant, url: string): Promise<Client> {
  const { outbound, clock, log, scopes } = needs
  try {
    const response = await outbound.fetch({
      url,
      purpose: 'client_document',
      headers: { accept: 'application/json' },
      accept: ['application/json'],
      limits,
    })
    if (response.status !== 200) throw refused(`the document's status is ${response.status}`)
    const metadata = ourMetadata(
      await withKnownScope(scopes, tenant, readClientDocument(response.json(), url)),
    )
    const now = clock.now()
    const freshUntil = now + freshnessMs(response.headers.get('cache-control'))
    const row = clientRow({ tenant, id: url, kind: 'document', metadata, now, freshUntil })
    return toClient(await storeDocument(needs, row))
  } catch (error) {
    if (!isFault(error)) throw error
    log.info({ client: url, fault: error.code, because: error.because }, 'client document refused')
    // One answer for blocked, unreachable and malformed alike: it must not tell what is on our network.
    throw new Fault('invalid_client', { because: error.because, cause: error })
  }
}

async function storeDocument({ db, journal }: Needs, row: ClientRow): Promise<ClientRow> {
  const { tenant_id, id, name, metadata, metadata_digest } = row
  const { token_endpoint_auth_method, fresh_until } = row
  // What is ours in the row (disabled, used) outlives a new reading of the document.
  const document = {
    name,
    metadata,
    metadata_digest,
    token_endpoint_auth_method,
    fresh_until,
  }
  return db.transaction().execute(async (tx) => {
    const before = await tx
      .selectFrom('clients')
      .select('metadata_digest')
      .where('tenant_id', '=', tenant_id)
      .where('id', '=', id)
      .executeTakeFirst()
    const stored = await tx
      .insertInto('clients')
      .values(row)
      .onConflict((conflict) => conflict.columns(['tenant_id', 'id']).doUpdateSet(document))
      .returningAll()
      .executeTakeFirstOrThrow()
    if (before?.metadata_digest !== row.metadata_digest) {
      await journal.record(tx, {
        tenantId: tenant_id,
        type: 'client.document_fetched',
        actor: { kind: 'client', id },
        subject: { kind: 'client', id },
        data: { isNew: before === undefined },
      })
    }
    return stored
  })
}

/** A short, bounded memory of what was refused, so that a broken document is not fetched for each request. */
function createRefusals(clock: Clock) {
  const until = createBoundedMap<number>(refusalsMax)
  return {
    has: (key: string): boolean => (until.get(key) ?? 0) > clock.now(),
    remember: (key: string): void => until.set(key, clock.now() + refusalMs),
  }
}

function busy(): Fault {
  const because = 'too many client documents are being fetched'
  return new Fault('too_many_requests', { because, retryAfterS: 5 })
}

function refused(because: string): Fault {
  return new Fault('invalid_client', { because })
}
