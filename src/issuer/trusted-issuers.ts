// The identity providers whose word about a person gives a client a token (ID-JAG), as rows: who they are, where their keys
// are, and for which clients and resources they may speak. How they are managed is in trusted-issuer-administration.ts.
import type { JWK } from 'jose'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { TrustedIssuerRow } from '../store/schema.ts'
import type { KeySets, Wanted } from '../upstream/key-sets.ts'

/** One trusted issuer as others see it. */
export interface TrustedIssuer {
  readonly id: string
  /** Its issuer identifier, byte for byte (RFC 8414 §2). */
  readonly issuer: string
  readonly jwksUri?: string
  readonly jwks?: { readonly keys: readonly JWK[] }
  /** Empty: every client that has the grant type. */
  readonly clientIds: readonly string[]
  /** Empty: every resource of the tenant. */
  readonly resources: readonly string[]
  /** Whether a subject that is not known yet becomes a person. */
  readonly provisions: boolean
  readonly disabled: boolean
  readonly createdAt: number
}

// An issuer is a URL; a database also must never see a NUL.
const issuerShape = /^[\x21-\x7E]{1,2048}$/

/** The trusted issuer with this identifier, if it is switched on. */
export async function findTrustedIssuer(
  db: Database,
  tenant: Tenant,
  issuer: string,
): Promise<TrustedIssuer | undefined> {
  if (!issuerShape.test(issuer)) return undefined
  const row = await db
    .selectFrom('trusted_issuers')
    .selectAll()
    .where('tenant_id', '=', tenant.id)
    .where('issuer', '=', issuer)
    .where('disabled_at', 'is', null)
    .executeTakeFirst()
  return row && toTrustedIssuer(row)
}

/** The trusted issuer with this id, if it is switched on; nobody changes it before the transaction ends. */
export async function holdTrustedIssuer(
  tx: Database,
  tenant: Tenant,
  id: string,
): Promise<TrustedIssuer | undefined> {
  const row = await holdRow(tx, tenant, id)
  return row === undefined || row.disabled_at !== null ? undefined : toTrustedIssuer(row)
}

/** Its row, on or off; written before it is read, so that whoever changes it at the same moment waits. */
export function holdRow(
  tx: Database,
  tenant: Tenant,
  id: string,
): Promise<TrustedIssuerRow | undefined> {
  return tx
    .updateTable('trusted_issuers')
    .set((columns) => ({ issuer: columns.ref('issuer') }))
    .where('tenant_id', '=', tenant.id)
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirst()
}

/** The keys that it signs with. */
export async function keysOf(
  keySets: KeySets,
  tenant: Tenant,
  { jwks, jwksUri }: TrustedIssuer,
  wanted: Wanted,
): Promise<readonly JWK[]> {
  if (jwks !== undefined) return jwks.keys
  return jwksUri === undefined ? [] : keySets.fetch(tenant, jwksUri, wanted)
}

/** The issuer in a row of `trusted_issuers`. */
export function toTrustedIssuer(row: TrustedIssuerRow): TrustedIssuer {
  return {
    id: row.id,
    issuer: row.issuer,
    ...(row.jwks_uri === null ? {} : { jwksUri: row.jwks_uri }),
    ...(row.jwks === null ? {} : { jwks: JSON.parse(row.jwks) as { keys: JWK[] } }), // the administration checked it
    clientIds: JSON.parse(row.client_ids) as string[], // likewise
    resources: JSON.parse(row.resources) as string[], // likewise
    provisions: row.provisions === 1,
    disabled: row.disabled_at !== null,
    createdAt: row.created_at,
  }
}
