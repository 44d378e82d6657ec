// Making, changing and removing webhooks, and their signing secrets: shown once, two alive while one replaces the other.
import { Fault } from '../base/fault.ts'
import { randomId } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Database } from '../store/database.ts'
import type { WebhookRow } from '../store/schema.ts'
import type { EntryData, EntryType } from './entries.ts'
import { checkDescription, checkEventTypes, checkUrl, webhookColumns } from './webhook-input.ts'
import type { WebhookChange, WebhookInput } from './webhook-input.ts'
import { liveSecrets, requireWebhook, secretPlace, toWebhook } from './webhook-rows.ts'
import type { Webhook, WebhookManager, WebhookNeeds } from './webhook-rows.ts'
import { makeWebhookSecret } from './webhook-signature.ts'

/** A webhook with its secret, which is shown here and never again. */
export interface WebhookWithSecret {
  readonly webhook: Webhook
  readonly secret: Secret
}

const webhooksMax = 100

/** The webhooks of a tenant, the oldest first. */
export async function listWebhooks(
  { db, clock }: WebhookNeeds,
  tenantId: string,
): Promise<readonly Webhook[]> {
  const rows = await db
    .selectFrom('webhooks')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .orderBy('created_at')
    .orderBy('id')
    .limit(webhooksMax)
    .execute()
  return rows.map((row) => toWebhook(row, clock.now()))
}

/** Makes a webhook that hears of what happens from now on. */
export async function createWebhook(
  needs: WebhookNeeds,
  manager: WebhookManager,
  input: WebhookInput,
): Promise<WebhookWithSecret> {
  const { db, clock, random, keyring, journal, outbound } = needs
  const { tenantId } = manager
  const now = clock.now()
  const secret = makeWebhookSecret(random)
  const key = { tenant_id: tenantId, id: randomId(random, 'whk_') }
  const row: WebhookRow = {
    ...key,
    ...untroubled,
    url: checkUrl(outbound, input.url),
    description: checkDescription(input.description ?? ''),
    event_types: checkEventTypes(input.eventTypes ?? ['*']),
    secret_sealed: keyring.seal(secret, secretPlace(key, 'secret_sealed')),
    previous_secret_sealed: null,
    previous_secret_expires_at: null,
    cursor_seq: await journal.head(tenantId),
    disabled_at: null,
    disabled_reason: null,
    lease_owner: null,
    lease_until: null,
    created_at: now,
    updated_at: now,
  }
  await db.transaction().execute(async (tx) => {
    await requireRoom(tx, tenantId)
    await tx.insertInto('webhooks').values(row).execute()
    const host = new URL(row.url).hostname
    await note(needs, tx, { manager, id: row.id, type: 'webhook.created', data: { host } })
  })
  return { webhook: toWebhook(row, now), secret }
}

/** How a webhook is that nothing is known against. */
const untroubled = { failures: 0, failing_since: null, paused_until: null } as const

async function requireRoom(tx: Database, tenantId: string): Promise<void> {
  const { count } = await tx
    .selectFrom('webhooks')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('tenant_id', '=', tenantId)
    .executeTakeFirstOrThrow()
  if (count < webhooksMax) return
  throw new Fault('conflict', {
    because: 'the tenant has as many webhooks as it may have',
    detail: { url: `A tenant has at most ${webhooksMax} webhooks. Remove one first.` },
  })
}

interface Noted {
  readonly manager: WebhookManager
  readonly id: string
  readonly type: EntryType
  readonly data?: EntryData
}

function note(
  { journal }: WebhookNeeds,
  tx: Database,
  { manager, id, type, data = {} }: Noted,
): Promise<void> {
  const subject = { kind: 'webhook', id }
  return journal.record(tx, { ...manager, type, subject, data })
}

/** Changes a webhook. What waits for it goes to the new address when its turn comes. */
export async function updateWebhook(
  needs: WebhookNeeds,
  { manager, id }: { readonly manager: WebhookManager; readonly id: string },
  change: WebhookChange,
): Promise<Webhook> {
  const { db, clock, outbound } = needs
  const now = clock.now()
  const columns = webhookColumns(outbound, change)
  const isAnotherChance = columns.url !== undefined || change.disabled === false
  return db.transaction().execute(async (tx) => {
    const before = await requireWebhook(tx, { tenantId: manager.tenantId, id })
    const row = await tx
      .updateTable('webhooks')
      .set({
        ...columns,
        ...(isAnotherChance ? untroubled : {}),
        ...switched(before, change.disabled, now),
        updated_at: now,
      })
      .where('tenant_id', '=', manager.tenantId)
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirstOrThrow()
    for (const entry of changesTold(before, row, change))
      await note(needs, tx, { manager, id, ...entry })
    return toWebhook(row, now)
  })
}

function switched(before: WebhookRow, disabled: boolean | undefined, now: number) {
  const isDisabled = before.disabled_at !== null
  if (disabled === undefined || disabled === isDisabled) return {}
  return disabled
    ? { disabled_at: now, disabled_reason: 'switched_off' }
    : { disabled_at: null, disabled_reason: null }
}

function changesTold(
  before: WebhookRow,
  after: WebhookRow,
  { disabled: _switch, ...described }: WebhookChange,
): readonly { readonly type: EntryType; readonly data?: EntryData }[] {
  const fields = Object.keys(described)
  const isSwitched = (before.disabled_at === null) !== (after.disabled_at === null)
  return [
    ...(fields.length === 0 ? [] : [{ type: 'webhook.updated', data: { fields } } as const]),
    ...(isSwitched && after.disabled_at === null ? [{ type: 'webhook.enabled' } as const] : []),
    ...(isSwitched && after.disabled_at !== null
      ? [{ type: 'webhook.disabled', data: { reason: 'switched_off' } } as const]
      : []),
  ]
}

/** Removes a webhook with its deliveries. Throws Fault('not_found'). */
export async function removeWebhook(
  needs: WebhookNeeds,
  manager: WebhookManager,
  id: string,
): Promise<void> {
  await needs.db.transaction().execute(async (tx) => {
    const removed = await tx
      .deleteFrom('webhooks')
      .where('tenant_id', '=', manager.tenantId)
      .where('id', '=', id)
      .returning('id')
      .executeTakeFirst()
    if (removed === undefined)
      throw new Fault('not_found', { because: 'no such webhook in this tenant' })
    await note(needs, tx, { manager, id, type: 'webhook.deleted' })
  })
}

/** Gives a webhook a new secret; the one before signs too for a while, the one before that no more. */
export async function rotateWebhookSecret(
  needs: WebhookNeeds,
  manager: WebhookManager,
  id: string,
): Promise<WebhookWithSecret> {
  const { db, clock, random, keyring, settings } = needs
  const now = clock.now()
  const before = await requireWebhook(db, { tenantId: manager.tenantId, id })
  const [newest] = liveSecrets(keyring, before, now)
  if (newest === undefined) throw new Error('a webhook without a secret')
  const secret = makeWebhookSecret(random)
  return db.transaction().execute(async (tx) => {
    const row = await tx
      .updateTable('webhooks')
      .set({
        secret_sealed: keyring.seal(secret, secretPlace(before, 'secret_sealed')),
        previous_secret_sealed: keyring.seal(newest, secretPlace(before, 'previous_secret_sealed')),
        previous_secret_expires_at: now + settings.secretOverlapMs,
        updated_at: now,
      })
      .where('tenant_id', '=', manager.tenantId)
      .where('id', '=', id)
      // Of two at once one is refused: nobody is shown a secret that signs nothing.
      .where('secret_sealed', '=', before.secret_sealed)
      .returningAll()
      .executeTakeFirst()
    if (row === undefined)
      throw new Fault('conflict', { because: 'the secret was rotated at the same time' })
    await note(needs, tx, { manager, id, type: 'webhook.secret_rotated' })
    return { webhook: toWebhook(row, now), secret }
  })
}
