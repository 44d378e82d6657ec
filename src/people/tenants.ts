// The virtual hosts. Owns which address belongs to which tenant; what a tenant contains belongs to the other rooms, and how
// one is made, changed and removed to tenant-administration.ts.
import { sql } from 'kysely'
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import { randomId } from '../base/random.ts'
import type { Database } from '../store/database.ts'
import { ofRow, steadyQuery } from '../store/hot-query.ts'
import type { TenantRow } from '../store/schema.ts'

/** One virtual host. `issuer` is its origin, or `/t/{slug}` at that of the default tenant, byte for byte (RFC 8414 §2). */
export interface Tenant {
  readonly id: string
  readonly slug: string
  readonly issuer: string
  readonly name: string
  readonly branding?: Branding
  /** Its limits are so many times those of the installation. */
  readonly limitScale?: number
  /** The content of calls is kept for so many days; absent: it is not kept. */
  readonly callContentDays?: number
}

/** How a tenant's pages look, and whom its people ask: an e-mail address or an https URL. */
export interface Branding {
  /** `#rrggbb`. */
  readonly accent?: string
  readonly logoUrl?: string
  readonly supportContact?: string
}

export interface Tenants {
  /**
   * The tenant of `LATCHKEY_PUBLIC_URL`: made at first start, moved when the setting moves, renamed when a name is given.
   * Throws an Error in plain words when the address is another tenant's.
   */
  readonly ensureDefault: (issuer: string, name?: string) => Promise<Tenant>
  /** The default tenant as it is stored, before any setting moves it. */
  readonly default: () => Promise<Tenant | undefined>
  /** The tenant whose address this is; undefined for one that is nobody's or whose tenant is switched off. */
  readonly at: (address: Address) => Promise<Tenant | undefined>
  /** The same by name, whether it is switched off or not. */
  readonly bySlug: (slug: string) => Promise<Tenant | undefined>
  readonly byId: (id: string) => Promise<Tenant | undefined>
}

/** Where a request went, as far as that names a tenant. */
export interface Address {
  /** `host[:port]` */
  readonly host: string
  /** The slug in `/t/{slug}`; undefined for the tenant that has the host to itself. */
  readonly slug: string | undefined
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
}

const defaultSlug = 'default'

/** Is it the tenant of `LATCHKEY_PUBLIC_URL`? What is of the whole installation is its administrators' business. */
export function isDefault({ slug }: Pick<Tenant, 'slug'>): boolean {
  return slug === defaultSlug
}

/** Where a tenant without a host of its own is, from the origin of the default tenant on. */
export function pathOfSlug(slug: string): string {
  return `/t/${slug}`
}

/** What stands before every path of the tenant: nothing at a host of its own. */
export function baseOf(tenant: Pick<Tenant, 'slug' | 'issuer'>): string {
  const path = pathOfSlug(tenant.slug)
  return !isDefault(tenant) && tenant.issuer.endsWith(path) ? path : ''
}

/** What a browser calls the place of its pages (RFC 6454 §4); tenants without a host of their own share one. */
export function originOf({ issuer }: Pick<Tenant, 'issuer'>): string {
  return new URL(issuer).origin
}

/** Of two transactions about the whole of a tenant the second waits here, and then sees what the first did. */
export async function lockTenant(tx: Database, { id }: Pick<Tenant, 'id'>): Promise<void> {
  await tx
    .updateTable('tenants')
    .set((columns) => ({ name: columns.ref('name') }))
    .where('id', '=', id)
    .execute()
}

/** Makes the tenants over one database. */
export function createTenants({ db, clock, random }: Needs): Tenants {
  const find = (column: 'id' | 'slug' | 'issuer', value: string) =>
    db.selectFrom('tenants').selectAll().where(column, '=', value).executeTakeFirst()

  return {
    ensureDefault: async (issuer, name) => {
      const existing = await find('slug', defaultSlug)
      if (existing !== undefined) {
        const wanted = { issuer, name: name ?? existing.name }
        const isSame = existing.issuer === issuer && existing.name === wanted.name
        if (isSame) return toTenant(existing)
        await requireFree(db, existing, issuer)
        await db.transaction().execute(async (tx) => {
          await tx.updateTable('tenants').set(wanted).where('id', '=', existing.id).execute()
          await moveAlong(tx, { from: existing.issuer, to: issuer })
        })
        return toTenant({ ...existing, ...wanted })
      }
      const row = {
        id: randomId(random, 'ten_'),
        slug: defaultSlug,
        issuer,
        name: name ?? 'Latchkey',
        created_at: clock.now(),
      }
      // Two processes may start at once: one row wins, both read it.
      await db
        .insertInto('tenants')
        .values(row)
        .onConflict((conflict) => conflict.column('slug').doNothing())
        .execute()
      const stored = await find('slug', defaultSlug)
      if (stored === undefined) throw new Error('the default tenant was not stored')
      return toTenant(stored)
    },

    default: async () => {
      const row = await find('slug', defaultSlug)
      return row && toTenant(row)
    },

    at: async ({ host, slug }) => {
      // A host with a slash would name a path of another host.
      if (host.includes('/')) return undefined
      const place = slug === undefined ? host : host + pathOfSlug(slug)
      const rows = await findByIssuer(db, { secure: `https://${place}`, plain: `http://${place}` })
      const row = rows.find(({ issuer }) => issuer.startsWith('https:')) ?? rows[0]
      return row && tenantOf(row)
    },

    bySlug: async (slug) => {
      const row = await find('slug', slug)
      return row && toTenant(row)
    },

    byId: async (id) => {
      const row = await find('id', id)
      return row && toTenant(row)
    },
  }
}

// Asked for every request.
const findByIssuer = steadyQuery(
  (db, { secure, plain }: { readonly secure: string; readonly plain: string }) =>
    db
      .selectFrom('tenants')
      .selectAll()
      .where('issuer', 'in', [secure, plain])
      .where('disabled_at', 'is', null),
)

const tenantOf = ofRow(toTenant)

/** The tenant in a row of `tenants`. */
export function toTenant(row: TenantRow): Tenant {
  const { id, slug, issuer, name, accent, logo_url: logoUrl, support_contact: contact } = row
  const branding = {
    ...(accent === null ? {} : { accent }),
    ...(logoUrl === null ? {} : { logoUrl }),
    ...(contact === null ? {} : { supportContact: contact }),
  }
  return {
    id,
    slug,
    issuer,
    name,
    ...(Object.keys(branding).length === 0 ? {} : { branding }),
    ...(row.limit_percent === null ? {} : { limitScale: row.limit_percent / 100 }),
    ...(row.call_content_days === null ? {} : { callContentDays: row.call_content_days }),
  }
}

/** The tenant that has an address already, whichever scheme it is written with; two of them could not be told apart. */
export async function ownerOf(db: Database, issuer: string): Promise<TenantRow | undefined> {
  const place = issuer.replace(/^https?:\/\//, '')
  return db
    .selectFrom('tenants')
    .selectAll()
    .where('issuer', 'in', [`https://${place}`, `http://${place}`])
    .executeTakeFirst()
}

async function requireFree(db: Database, { id }: TenantRow, issuer: string): Promise<void> {
  const owner = await ownerOf(db, issuer)
  if (owner === undefined || owner.id === id) return
  throw new Error(
    `LATCHKEY_PUBLIC_URL is ${issuer}, which is the address of the tenant ${owner.slug}`,
  )
}

/** Those that are at the default tenant's origin go where it goes. */
async function moveAlong(
  tx: Database,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<void> {
  await tx
    .updateTable('tenants')
    .set({ issuer: sql<string>`${to} || '/t/' || slug` })
    .where('issuer', '=', sql<string>`${from} || '/t/' || slug`)
    .execute()
}
