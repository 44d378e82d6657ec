// What an administrator may say about a trusted issuer: an address that is an issuer, keys or an address that we may
// reach for them, and clients and resources that are this tenant's own.
import { Fault, isFault } from '../base/fault.ts'
import type { Outbound } from '../base/outbound.ts'
import { publicKeySet } from '../oauth/client-metadata.ts'
import { parseHttpUri } from '../oauth/uri.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { TrustedIssuerRow } from '../store/schema.ts'
import { findClient } from './clients.ts'
import type { Resources } from './resources.ts'

/** A trusted issuer as it is described: its keys in one of two ways; everything else has a default. */
export interface NewTrustedIssuer {
  readonly issuer: string
  /** Where its keys are (RFC 7517 §5). */
  readonly jwksUri?: string
  /** Or the keys themselves. */
  readonly jwks?: unknown
  /** The clients that it may speak for; every one with the grant type unless said. */
  readonly clientIds?: readonly string[]
  /** The resources that it may speak for; all of the tenant's unless said. */
  readonly resources?: readonly string[]
  readonly provisions?: boolean
}

/** What of it may change; it stays the issuer that it is. */
export interface TrustedIssuerChange extends Partial<Omit<NewTrustedIssuer, 'issuer'>> {
  readonly disabled?: boolean
}

interface Needs {
  readonly db: Database
  readonly outbound: Pick<Outbound, 'vet'>
  readonly resources: Resources
}

const listedMax = 100

type KeyColumns = Pick<TrustedIssuerRow, 'jwks' | 'jwks_uri'>
type OtherColumns = Pick<TrustedIssuerRow, 'client_ids' | 'resources' | 'provisions'>

/** The columns of a description, checked. Throws Fault('invalid_input'). */
export async function describeTrustedIssuer(
  needs: Needs,
  tenant: Tenant,
  input: NewTrustedIssuer,
): Promise<Pick<TrustedIssuerRow, 'issuer'> & KeyColumns & OtherColumns> {
  return {
    issuer: readIssuer(needs.outbound, tenant, input.issuer),
    client_ids: '[]',
    resources: '[]',
    provisions: 0,
    ...(await describeLists(needs, tenant, input)),
    ...readKeys(needs.outbound, input),
  }
}

/**
 * The columns of what is changed and of nothing else: what was said before may have gone since, which must not stand in the
 * way. Keys that are given in one way replace those of the other. Throws Fault('invalid_input').
 */
export async function describeChange(
  needs: Needs,
  tenant: Tenant,
  change: TrustedIssuerChange,
): Promise<Partial<KeyColumns & OtherColumns>> {
  const hasKeys = change.jwks !== undefined || change.jwksUri !== undefined
  return {
    ...(await describeLists(needs, tenant, change)),
    ...(hasKeys ? readKeys(needs.outbound, change) : {}),
  }
}

async function describeLists(
  needs: Needs,
  tenant: Tenant,
  { clientIds, resources, provisions }: TrustedIssuerChange,
): Promise<Partial<OtherColumns>> {
  const clients = clientIds && (await readClients(needs.db, tenant, clientIds))
  const named = resources && (await readResources(needs.resources, tenant, resources))
  return {
    ...(clients === undefined ? {} : { client_ids: JSON.stringify(clients) }),
    ...(named === undefined ? {} : { resources: JSON.stringify(named) }),
    ...(provisions === undefined ? {} : { provisions: provisions ? 1 : 0 }),
  }
}

/** RFC 8414 §2: an address without query or fragment; and another than our own (ID-JAG draft §8.3). */
function readIssuer(outbound: Needs['outbound'], tenant: Tenant, issuer: string): string {
  const uri = parseHttpUri(issuer)
  if (uri === undefined || uri.query !== undefined) {
    throw refused('issuer', 'Use the issuer identifier: an address without query and fragment.')
  }
  requireReachable(outbound, 'issuer', issuer)
  if (issuer === tenant.issuer) throw refused('issuer', 'This is us. Name an identity provider.')
  return issuer
}

function readKeys(
  outbound: Needs['outbound'],
  { jwks, jwksUri }: Pick<NewTrustedIssuer, 'jwks' | 'jwksUri'>,
): KeyColumns {
  if ((jwks === undefined) === (jwksUri === undefined)) {
    throw refused('jwksUri', 'Give either jwksUri or jwks.')
  }
  if (jwksUri !== undefined) {
    requireReachable(outbound, 'jwksUri', jwksUri)
    return { jwks_uri: jwksUri, jwks: null }
  }
  const read = publicKeySet.safeParse(jwks)
  if (!read.success) throw refused('jwks', 'Use a set of public keys (RFC 7517).')
  return { jwks_uri: null, jwks: JSON.stringify(read.data) }
}

function requireReachable(outbound: Needs['outbound'], field: string, url: string): void {
  try {
    outbound.vet(url)
  } catch (cause) {
    if (!isFault(cause)) throw cause
    throw refused(field, cause.message, cause)
  }
}

async function readClients(
  db: Database,
  tenant: Tenant,
  ids: readonly string[],
): Promise<readonly string[]> {
  requireFew('clientIds', ids)
  const found = await Promise.all(ids.map((id) => findClient(db, tenant, id)))
  if (found.every((client) => client !== undefined)) return [...new Set(ids)]
  throw refused('clientIds', 'One of these clients does not exist here.')
}

/** In the spelling of those that are there, so that grants can be compared with it. */
async function readResources(
  resources: Resources,
  tenant: Tenant,
  named: readonly string[],
): Promise<readonly string[]> {
  requireFew('resources', named)
  const found = await Promise.all(named.map((resource) => resources.find(tenant, resource)))
  const known = found.flatMap((one) => (one === undefined ? [] : [one.resource]))
  if (known.length === named.length) return [...new Set(known)]
  throw refused('resources', 'One of these resources does not exist here.')
}

function requireFew(field: string, list: readonly string[]): void {
  if (list.length > listedMax) throw refused(field, `Name at most ${listedMax}.`)
}

function refused(field: string, words: string, cause?: unknown): Fault {
  return new Fault('invalid_input', {
    because: `${field} cannot be used`,
    detail: { [field]: words },
    ...(cause === undefined ? {} : { cause }),
  })
}
