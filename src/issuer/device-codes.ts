// The rows of devices that wait: made with a code for the device and one for its person, asked for again and again by the
// one and typed once by the other (RFC 8628). Who may do what with them is decided by device-authorization.ts, device.ts
// and grant-types/device-code.ts.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import { randomId, randomSecret } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Attempts } from '../journal/attempts.ts'
import type { Journal } from '../journal/entries.ts'
import { formatScope } from '../oauth/scope.ts'
import type { Tenant } from '../people/tenants.ts'
import { claimOnce } from '../store/claim.ts'
import type { Database } from '../store/database.ts'
import type { DeviceCodeRow } from '../store/schema.ts'
import type { Client } from './clients.ts'
import { wrongSoFar } from './device-guesses.ts'
import type { Policy } from './policy.ts'
import type { Resource } from './resources.ts'
import { makeUserCode } from './user-code.ts'

/** Whole seconds between two polls, until the device is too fast (RFC 8628 §3.2). */
export const pollIntervalS = 5
const slowDownS = 5

/** What a device asks for, checked. */
export interface DeviceRequest {
  readonly client: Client
  readonly scopes: readonly string[]
  readonly resource: Resource
  readonly origin: DeviceOrigin
}

/** From where and as what the device asked, as far as is known; in words for its person. */
export interface DeviceOrigin {
  readonly address: string | undefined
  readonly agent: string | undefined
}

/** The two codes of a new request; shown here once. */
export interface DeviceCodes {
  readonly deviceCode: Secret
  readonly userCode: Secret
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
  readonly attempts: Pick<Attempts, 'authorized'>
  readonly policy: Policy
}

const triesMax = 3

/** Stores a request under two new codes and says so in the journal. */
export async function storeDeviceCode(
  needs: Needs,
  tenant: Tenant,
  request: DeviceRequest,
): Promise<DeviceCodes> {
  for (let tries = 0; tries < triesMax; tries += 1) {
    const codes = {
      deviceCode: randomSecret(needs.random, 'mcp_dc_'),
      userCode: makeUserCode(needs.random),
    }
    const isStored = await needs.db
      .transaction()
      .execute((tx) => store({ ...needs, tx }, { tenant, codes }, request))
    if (isStored) return codes
  }
  throw new Fault('temporarily_unavailable', { because: 'no user code is free' })
}

/** False when another device of the tenant has the same user code. */
async function store(
  needs: Needs & { readonly tx: Database },
  { tenant, codes }: { readonly tenant: Tenant; readonly codes: DeviceCodes },
  request: DeviceRequest,
): Promise<boolean> {
  const { tx, journal, attempts } = needs
  const row = newRow(needs, { tenant, codes, wrong: await wrongSoFar(tx, tenant) }, request)
  const stored = await tx
    .insertInto('device_codes')
    .values(row)
    .onConflict((conflict) => conflict.columns(['tenant_id', 'user_code_digest']).doNothing())
    .returning('id')
    .executeTakeFirst()
  if (stored === undefined) return false
  const { client, resource, scopes } = request
  // A person's browser goes on with it, so no other browser that this client sends may.
  await attempts.authorized(tx, { tenantId: tenant.id, attempt: row.id, clientId: client.id })
  await journal.record(tx, {
    tenantId: tenant.id,
    type: 'device.started',
    actor: { kind: 'client', id: client.id },
    subject: { kind: 'client', id: client.id },
    attempt: row.id,
    data: { resource: resource.resource, scopes },
  })
  return true
}

function newRow(
  { clock, random, keyring, policy }: Needs,
  facts: { readonly tenant: Tenant; readonly codes: DeviceCodes; readonly wrong: number },
  { client, scopes, resource, origin }: DeviceRequest,
): DeviceCodeRow {
  const { tenant, codes, wrong } = facts
  const id = randomId(random, 'dvc_')
  const now = clock.now()
  return {
    tenant_id: tenant.id,
    id,
    device_code_digest: keyring.digest('device_code', codes.deviceCode),
    user_code_digest: keyring.digest('user_code', codes.userCode),
    user_code_sealed: keyring.seal(codes.userCode, userCodePlace({ tenant_id: tenant.id, id })),
    client_id: client.id,
    resource: resource.resource,
    scope: formatScope(scopes),
    interval_s: pollIntervalS,
    last_polled_at: null,
    guesses_before: wrong,
    device_address: origin.address ?? null,
    device_agent: origin.agent ?? null,
    status: 'pending',
    user_id: null,
    session_digest: null,
    browser_digest: null,
    decided_at: null,
    grant_id: null,
    created_at: now,
    expires_at: now + policy.deviceCodeLifetimeMs,
    claimed_at: null,
  }
}

/** Where the sealed user code of a row lives. */
export function userCodePlace({ tenant_id, id }: Pick<DeviceCodeRow, 'tenant_id' | 'id'>) {
  return { tenant: tenant_id, table: 'device_codes', row: id, column: 'user_code_sealed' }
}

interface Finding {
  readonly db: Database
  readonly keyring: Keyring
}

/** The request behind a device code, redeemed, expired or not, with its grant if there is one, which may be of less. */
export function findByDeviceCode({ db, keyring }: Finding, tenant: Tenant, code: Secret) {
  return db
    .selectFrom('device_codes')
    .leftJoin('grants', (join) =>
      join
        .onRef('grants.tenant_id', '=', 'device_codes.tenant_id')
        .onRef('grants.id', '=', 'device_codes.grant_id'),
    )
    .selectAll('device_codes')
    .select(['grants.revoked_at', 'grants.scope as granted_scope'])
    .where('device_codes.tenant_id', '=', tenant.id)
    .where('device_codes.device_code_digest', 'in', keyring.digests('device_code', code))
    .executeTakeFirst()
}

/** The request behind a user code, whatever became of it. */
export function findByUserCode(
  { db, keyring }: Finding,
  tenant: Tenant,
  code: Secret,
): Promise<DeviceCodeRow | undefined> {
  return db
    .selectFrom('device_codes')
    .selectAll()
    .where('tenant_id', '=', tenant.id)
    .where('user_code_digest', 'in', keyring.digests('user_code', code))
    .executeTakeFirst()
}

/** The request with this id, whatever became of it. */
export async function findDeviceRequest(
  db: Database,
  tenant: Tenant,
  id: string,
): Promise<DeviceCodeRow | undefined> {
  if (!/^dvc_\w{1,64}$/.test(id)) return undefined
  return db
    .selectFrom('device_codes')
    .selectAll()
    .where('tenant_id', '=', tenant.id)
    .where('id', '=', id)
    .executeTakeFirst()
}

/**
 * Notes that the device asked again. One statement decides whether it was too early; if so the interval grows, and the
 * device has to wait for all of the longer one (RFC 8628 §3.5).
 */
export async function notePoll(
  { db, clock }: { readonly db: Database; readonly clock: Clock },
  { tenant_id, id }: Pick<DeviceCodeRow, 'tenant_id' | 'id'>,
): Promise<'in_time' | 'too_fast'> {
  const now = clock.now()
  const inTime = await db
    .updateTable('device_codes')
    .set({ last_polled_at: now })
    .where('tenant_id', '=', tenant_id)
    .where('id', '=', id)
    .where((row) =>
      row.or([
        row('last_polled_at', 'is', null),
        row('last_polled_at', '<=', row(row.val(now), '-', row('interval_s', '*', 1000))),
      ]),
    )
    .returning('id')
    .executeTakeFirst()
  if (inTime !== undefined) return 'in_time'
  await db
    .updateTable('device_codes')
    .set((row) => ({ last_polled_at: now, interval_s: row('interval_s', '+', slowDownS) }))
    .where('tenant_id', '=', tenant_id)
    .where('id', '=', id)
    .execute()
  return 'too_fast'
}

/** Spends an approved request inside the caller's transaction; false when it was spent before or has expired. */
export async function spendDeviceCode(
  { tx, clock }: { readonly tx: Database; readonly clock: Clock },
  { tenant_id, id }: Pick<DeviceCodeRow, 'tenant_id' | 'id'>,
): Promise<boolean> {
  const key = { tenant_id, id, status: 'approved' }
  return (await claimOnce(tx, 'device_codes', key, clock.now())) !== undefined
}
