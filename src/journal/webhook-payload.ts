// What others are told of an entry, over webhooks and the event stream alike: the entry's facts, in one shape.
import type { EntryType, SealedEntry } from './entries.ts'

/** The type of the event that only tries a webhook out. */
export const testEventType = 'webhook.test'

/** An event as Standard Webhooks shapes it. */
export interface PublicEvent {
  readonly type: EntryType | typeof testEventType
  /** ISO 8601. */
  readonly timestamp: string
  readonly data: Readonly<Record<string, unknown>>
}

/** The event in an entry. The journal refuses secrets, so all of an entry's facts may leave. */
export function toPublicEvent({ type, at, ...entry }: SealedEntry): PublicEvent {
  const { tenantId: _everyReaderKnows, ...data } = entry
  return { type, timestamp: timeOf(at), data }
}

/** The same for a person who is no administrator: whose shared connection their calls used stays untold. */
export function toPersonalEvent(entry: SealedEntry): PublicEvent {
  const { connection: _others, connectionOwner: owner, ...data } = entry.data
  return toPublicEvent(owner === undefined ? entry : { ...entry, data })
}

/** The event that tries a webhook out. */
export function testEvent(webhookId: string, at: number): PublicEvent {
  const subject = { kind: 'webhook', id: webhookId }
  return { type: testEventType, timestamp: timeOf(at), data: { subject } }
}

function timeOf(at: number): string {
  return new Date(at).toISOString()
}
