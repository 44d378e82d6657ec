// The keys that sign our JWTs (ES256, RFC 7518 §3.4). Each tenant has a row of generations: the next key is published
// before it signs, so that nobody meets a signature of a key they have not heard of; a retired one stays published as
// long as something that it signed is alive.
import { createPrivateKey } from 'node:crypto'
import type { KeyObject, webcrypto } from 'node:crypto'
import { createBoundedMap } from '../base/bounded.ts'
import type { Clock } from '../base/clock.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Random } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Actor, Journal } from '../journal/entries.ts'
import { signJwt } from '../oauth/jws.ts'
import { makePrivateKey, privateKeyBytes } from '../oauth/private-key.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import { hotQuery } from '../store/hot-query.ts'
import type { SigningKeyRow } from '../store/schema.ts'
import type { Policy } from './policy.ts'

export interface SigningKeys {
  /** The public keys of a tenant (RFC 7517 §5). */
  readonly published: (tenant: Tenant) => Promise<{ readonly keys: readonly PublicKey[] }>
  /** A JWT under the active key (RFC 7515 §7.1). */
  readonly sign: (tenant: Tenant, jwt: UnsignedJwt) => Promise<Secret>
  /** Lets the next key sign, retires the active one and publishes another; too early while caches may not know the next. */
  readonly rotate: (tenant: Tenant, actor?: Actor) => Promise<Rotation>
  /** The same as soon as it is not too early any more: then it is left to `rotateDue`. */
  readonly rotateSoon: (tenant: KeyOwner, actor: Actor) => Promise<Rotation>
  /** Rotates in every tenant whose key has signed for its lifetime, or whose next key is asked for; says in how many. */
  readonly rotateDue: () => Promise<number>
}

/** Whose keys they are. */
export type KeyOwner = Pick<Tenant, 'id'>

export interface UnsignedJwt {
  /** What kind of JWT it is, so that none is taken for another (RFC 8725 §3.11). */
  readonly typ: 'JWT' | 'at+jwt' | 'latchkey-assertion+jwt'
  readonly claims: Readonly<Record<string, unknown>>
}

export type Rotation =
  | { readonly kind: 'rotated'; readonly kid: string }
  | { readonly kind: 'too_early'; readonly notBefore: number }

/** A public key as it is published (RFC 7517 §4, RFC 7518 §6.2.1). */
export interface PublicKey {
  readonly kty: 'EC'
  readonly crv: 'P-256'
  readonly x: string
  readonly y: string
  readonly kid: string
  readonly alg: 'ES256'
  readonly use: 'sig'
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
  readonly policy: Pick<Policy, 'accessTokenLifetimeMs' | 'signingKeyLifetimeMs'>
}

const minuteMs = 60_000
const hourMs = 60 * minuteMs
/** How long a key is published before it signs: as long as caches may keep the document that lacks it. */
export const publishedAheadMs = hourMs
/** A request that read the active key just before it was retired may still sign with it. */
const lateSigningMs = 5 * minuteMs
/** A token may have been made under a longer setting than the one that holds when its key retires. */
const tokenLifetimeLeastMs = 24 * hourMs

/** Makes the signing keys of all tenants over one database; the first two of a tenant are made when they are first needed. */
export function createSigningKeys(needs: Needs): SigningKeys {
  const { db, clock } = needs
  const privateKeyOf = createPrivateKeys(needs)

  return {
    published: async (tenant) => {
      const rows = await findOrMakeKeys(needs, tenant)
      const now = clock.now()
      const alive = rows.filter(({ published_until: until }) => until === null || until > now)
      return { keys: alive.map(toPublicKey) }
    },
    sign: async (tenant, jwt) => {
      const active = (await findActive(db, tenant)) ?? activeOf(await findOrMakeKeys(needs, tenant))
      const { typ, claims } = jwt
      const header = { alg: 'ES256', kid: active.kid, typ } as const
      return signJwt(privateKeyOf(tenant, active), { header, claims })
    },
    rotate: (tenant, actor = { kind: 'system' }) => rotate(needs, tenant, actor),
    rotateSoon: async (tenant, actor) => {
      const rotation = await rotate(needs, tenant, actor)
      if (rotation.kind === 'too_early') await plan(db, tenant, rotation.notBefore)
      return rotation
    },
    rotateDue: () => rotateDue(needs),
  }
}

/** How long a retired key stays published: until the last token that it signed is over. */
export function publishedAfterMs({
  accessTokenLifetimeMs,
}: Pick<Policy, 'accessTokenLifetimeMs'>): number {
  return Math.max(accessTokenLifetimeMs, tokenLifetimeLeastMs) + lateSigningMs
}

async function findOrMakeKeys(needs: Needs, tenant: KeyOwner): Promise<readonly SigningKeyRow[]> {
  const known = await findKeys(needs.db, tenant)
  if (known.length > 0) return known
  const active = makeKey(needs, tenant, { generation: 1, activatedAt: needs.clock.now() })
  const next = makeKey(needs, tenant, { generation: 2 })
  // One statement makes both or, if another process was faster, neither.
  await needs.db
    .insertInto('signing_keys')
    .values([active, next])
    .onConflict((conflict) => conflict.columns(['tenant_id', 'generation']).doNothing())
    .execute()
  return findKeys(needs.db, tenant)
}

function findKeys(db: Database, tenant: KeyOwner): Promise<readonly SigningKeyRow[]> {
  return db
    .selectFrom('signing_keys')
    .selectAll()
    .where('tenant_id', '=', tenant.id)
    .orderBy('generation')
    .execute()
}

async function findActive(db: Database, tenant: Tenant): Promise<SigningKeyRow | undefined> {
  const [row] = await findSigning(db, { tenantId: tenant.id })
  return row
}

// Asked for every token that is signed.
const findSigning = hotQuery((db, { tenantId }: { readonly tenantId: string }) =>
  db
    .selectFrom('signing_keys')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('activated_at', 'is not', null)
    .where('retired_at', 'is', null),
)

function activeOf(rows: readonly SigningKeyRow[]): SigningKeyRow {
  const active = rows.find((row) => row.activated_at !== null && row.retired_at === null)
  if (active === undefined) throw new Error('a tenant with signing keys has no active one')
  return active
}

const dueMax = 1000

async function rotateDue(needs: Needs): Promise<number> {
  const { db, clock, policy } = needs
  const now = clock.now()
  const [old, asked] = await Promise.all([
    db
      .selectFrom('signing_keys')
      .select('tenant_id as id')
      .where('activated_at', '<=', now - policy.signingKeyLifetimeMs)
      .where('retired_at', 'is', null)
      .limit(dueMax)
      .execute(),
    db
      .selectFrom('signing_keys')
      .select('tenant_id as id')
      .where('activate_at', '<=', now)
      .where('activated_at', 'is', null)
      .limit(dueMax)
      .execute(),
  ])
  let rotated = 0
  for (const id of new Set([...old, ...asked].map((row) => row.id))) {
    const { kind } = await rotate(needs, { id }, { kind: 'system' })
    if (kind === 'rotated') rotated += 1
  }
  return rotated
}

/** Notes that the next key is to sign before its turn; the first one to ask for it is enough. */
async function plan(db: Database, { id }: KeyOwner, activateAt: number): Promise<void> {
  await db
    .updateTable('signing_keys')
    .set({ activate_at: activateAt })
    .where('tenant_id', '=', id)
    .where('activated_at', 'is', null)
    .where('activate_at', 'is', null)
    .execute()
}

async function rotate(needs: Needs, tenant: KeyOwner, actor: Actor): Promise<Rotation> {
  const { db, clock, policy, journal } = needs
  const rows = await findOrMakeKeys(needs, tenant)
  const next = rows.find((row) => row.activated_at === null)
  if (next === undefined) throw new Error('a tenant with signing keys has no next one')
  const now = clock.now()
  const notBefore = next.created_at + publishedAheadMs
  if (now < notBefore) return { kind: 'too_early', notBefore }
  const fresh = makeKey(needs, tenant, { generation: next.generation + 1 })
  return db.transaction().execute(async (tx) => {
    if (!(await activate(tx, next, now))) {
      return { kind: 'too_early', notBefore: now + publishedAheadMs }
    }
    await retireOthers(tx, next, { now, publishedUntil: now + publishedAfterMs(policy) })
    await tx.insertInto('signing_keys').values(fresh).execute()
    await journal.record(tx, {
      tenantId: tenant.id,
      type: 'signing_key.rotated',
      actor,
      // Not by its kid: a hash can look like anything, also like a secret.
      subject: { kind: 'signing_key', id: `${next.generation}` },
    })
    return { kind: 'rotated', kid: next.kid }
  })
}

/** Of many who rotate at once, one finds the next key still waiting. */
async function activate(tx: Database, next: SigningKeyRow, now: number): Promise<boolean> {
  const activated = await tx
    .updateTable('signing_keys')
    .set({ activated_at: now })
    .where('tenant_id', '=', next.tenant_id)
    .where('generation', '=', next.generation)
    .where('activated_at', 'is', null)
    .returning('kid')
    .executeTakeFirst()
  return activated !== undefined
}

async function retireOthers(
  tx: Database,
  { tenant_id, generation }: SigningKeyRow,
  { now, publishedUntil }: { readonly now: number; readonly publishedUntil: number },
): Promise<void> {
  await tx
    .updateTable('signing_keys')
    .set({ retired_at: now, published_until: publishedUntil })
    .where('tenant_id', '=', tenant_id)
    .where('generation', '<', generation)
    .where('retired_at', 'is', null)
    .execute()
  await tx
    .deleteFrom('signing_keys')
    .where('tenant_id', '=', tenant_id)
    .where('published_until', '<=', now)
    .execute()
}

function makeKey(
  { clock, random, keyring }: Needs,
  tenant: KeyOwner,
  { generation, activatedAt }: { readonly generation: number; readonly activatedAt?: number },
): SigningKeyRow {
  const { jwk, publicJwk } = makePrivateKey(random.secretBytes(privateKeyBytes))
  return {
    tenant_id: tenant.id,
    generation,
    kid: publicJwk.kid,
    public_jwk: JSON.stringify(publicJwk),
    private_jwk_sealed: keyring.seal(jwk, placeOf(tenant, publicJwk.kid)),
    created_at: clock.now(),
    activated_at: activatedAt ?? null,
    retired_at: null,
    published_until: null,
    activate_at: null,
  }
}

function placeOf(tenant: KeyOwner, kid: string) {
  return {
    tenant: tenant.id,
    table: 'signing_keys',
    row: kid,
    column: 'private_jwk_sealed',
  } as const
}

function toPublicKey({ public_jwk }: SigningKeyRow): PublicKey {
  return JSON.parse(public_jwk) as PublicKey // only makeKey() writes it
}

const privateKeysMax = 100

/** Unseals private keys and keeps the few that are in use. */
function createPrivateKeys({ keyring }: Needs) {
  const kept = createBoundedMap<KeyObject>(privateKeysMax)
  return (tenant: Tenant, { kid, private_jwk_sealed: sealed }: SigningKeyRow): KeyObject => {
    const known = kept.get(`${tenant.id} ${kid}`)
    if (known !== undefined) return known
    const jwk = JSON.parse(
      keyring.open(sealed, placeOf(tenant, kid)).reveal(),
    ) as webcrypto.JsonWebKey // only makeKey() seals it
    const key = createPrivateKey({ key: jwk, format: 'jwk' })
    kept.set(`${tenant.id} ${kid}`, key)
    return key
  }
}
