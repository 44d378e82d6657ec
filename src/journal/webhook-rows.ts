// The rows of `webhooks`: what others see of one, which entries it wants, and the secrets that sign for it.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Log } from '../base/log.ts'
import type { Outbound } from '../base/outbound.ts'
import type { Random } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Database } from '../store/database.ts'
import type { WebhookRow } from '../store/schema.ts'
import type { Actor, Journal } from './entries.ts'
import type { WebhookSettings } from './webhook-settings.ts'

/** Somebody who is told what happens. No secret in it. */
export interface Webhook {
  readonly id: string
  readonly url: string
  readonly description: string
  readonly eventTypes: readonly string[]
  readonly disabled: boolean
  readonly disabledReason?: 'switched_off' | 'gone'
  /** Since when no attempt got through. */
  readonly failingSince?: number
  /** Until then the secret before the newest signs too. */
  readonly previousSecretExpiresAt?: number
  readonly createdAt: number
  readonly updatedAt: number
}

/** Who manages webhooks; the door has checked that they may. */
export interface WebhookManager {
  readonly tenantId: string
  readonly actor: Actor
}

export interface WebhookNeeds {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
  readonly outbound: Pick<Outbound, 'vet' | 'dispatcher'>
  readonly log: Log
  readonly settings: WebhookSettings
}

/** Which webhook. */
export interface WebhookKey {
  readonly tenantId: string
  readonly id: string
}

/** The row of a webhook. Throws Fault('not_found'). */
export async function requireWebhook(
  db: Database,
  { tenantId, id }: WebhookKey,
): Promise<WebhookRow> {
  const row = await db
    .selectFrom('webhooks')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('id', '=', id)
    .executeTakeFirst()
  if (row !== undefined) return row
  throw new Fault('not_found', { because: 'no such webhook in this tenant' })
}

/** What of a webhook leaves this room. */
export function toWebhook(row: WebhookRow, now: number): Webhook {
  const { disabled_reason: reason, previous_secret_expires_at: expiresAt } = row
  return {
    id: row.id,
    url: row.url,
    description: row.description,
    eventTypes: eventTypesOf(row),
    disabled: row.disabled_at !== null,
    ...(reason === null ? {} : { disabledReason: reason as 'switched_off' | 'gone' }), // only this room writes it
    ...(row.failing_since === null ? {} : { failingSince: row.failing_since }),
    ...(expiresAt === null || expiresAt <= now ? {} : { previousSecretExpiresAt: expiresAt }),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}

/** Does this webhook want to hear of such a thing? */
export function wants(row: WebhookRow, type: string): boolean {
  const area = `${type.split('.', 1)[0]}.*`
  return eventTypesOf(row).some((wanted) => wanted === '*' || wanted === type || wanted === area)
}

function eventTypesOf(row: WebhookRow): readonly string[] {
  return JSON.parse(row.event_types) as readonly string[] // only this room writes it
}

/** The secrets that sign now, the newest first. Throws Fault('decrypt_failed'). */
export function liveSecrets(keyring: Keyring, row: WebhookRow, now: number): readonly Secret[] {
  const newest = keyring.open(row.secret_sealed, secretPlace(row, 'secret_sealed'))
  const { previous_secret_sealed: sealed, previous_secret_expires_at: expiresAt } = row
  if (sealed === null || (expiresAt ?? 0) <= now) return [newest]
  return [newest, keyring.open(sealed, secretPlace(row, 'previous_secret_sealed'))]
}

/** Where a secret of a webhook lives. */
export function secretPlace(
  { tenant_id: tenant, id: row }: Pick<WebhookRow, 'tenant_id' | 'id'>,
  column: 'secret_sealed' | 'previous_secret_sealed',
) {
  return { tenant, table: 'webhooks', row, column }
}
