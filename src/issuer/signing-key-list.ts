// What an operator sees of the signing keys: of every tenant, which key signs, which comes next, and which are only still
// published. How they come and go is in signing-keys.ts.
import type { Database } from '../store/database.ts'
import type { SigningKeyRow } from '../store/schema.ts'

/** The keys of one tenant, oldest first; none before the first one is needed. */
export interface TenantKeys {
  readonly tenantId: string
  readonly slug: string
  readonly issuer: string
  readonly keys: readonly ListedKey[]
}

export interface ListedKey {
  readonly kid: string
  readonly generation: number
  readonly state: 'next' | 'active' | 'retired'
  readonly createdAt: number
  readonly activatedAt?: number
  /** When the next one is to sign, if an operator asked for that. */
  readonly activateAt?: number
  readonly retiredAt?: number
  readonly publishedUntil?: number
}

const tenantsMax = 1000
const keysMax = 10_000

/** The signing keys of every tenant; at most 1000 tenants. */
export async function listSigningKeys(db: Database): Promise<readonly TenantKeys[]> {
  const tenants = await db
    .selectFrom('tenants')
    .select(['id', 'slug', 'issuer'])
    .orderBy('id')
    .limit(tenantsMax)
    .execute()
  const rows = await db
    .selectFrom('signing_keys')
    .selectAll()
    .orderBy('tenant_id')
    .orderBy('generation')
    .limit(keysMax)
    .execute()
  const byTenant = Map.groupBy(rows, (row) => row.tenant_id)
  return tenants.map(({ id, slug, issuer }) => ({
    tenantId: id,
    slug,
    issuer,
    keys: (byTenant.get(id) ?? []).map(toListed),
  }))
}

function toListed(row: SigningKeyRow): ListedKey {
  return {
    kid: row.kid,
    generation: row.generation,
    state: stateOf(row),
    createdAt: row.created_at,
    ...(row.activated_at === null ? {} : { activatedAt: row.activated_at }),
    ...(row.activate_at === null || row.activated_at !== null
      ? {}
      : { activateAt: row.activate_at }),
    ...(row.retired_at === null ? {} : { retiredAt: row.retired_at }),
    ...(row.published_until === null ? {} : { publishedUntil: row.published_until }),
  }
}

function stateOf({ activated_at, retired_at }: SigningKeyRow): ListedKey['state'] {
  if (activated_at === null) return 'next'
  return retired_at === null ? 'active' : 'retired'
}
