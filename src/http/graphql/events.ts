// What an entry of the journal tells whoever watches the tokens of a connection.
import { faultCatalogue } from '../../base/fault.ts'
import { wordsOf } from '../../connectors/status.ts'
import type { SealedEntry } from '../../journal/entries.ts'
import { toDateTime } from './results.ts'

type EventType =
  | 'TOKEN_REFRESHED'
  | 'TOKEN_REFRESH_FAILED'
  | 'REAUTHORIZATION_REQUIRED'
  | 'CREDENTIALS_REVOKED'

export interface TokenEvent {
  readonly eventType: EventType
  readonly connectionId: string
  readonly timestamp: string
  readonly message: string
  readonly requiresUserAction: boolean
}

/** The events in an entry about this connection; none in most. */
export function eventsIn(entry: SealedEntry, connectionId: string): readonly TokenEvent[] {
  const { subject, at, data } = entry
  if (subject?.kind !== 'connection' || subject.id !== connectionId) return []
  const isFinal = data['requiresReauthorization'] === true
  const kinds = Object.hasOwn(kindsOf, entry.type) ? kindsOf[entry.type] : undefined
  return (kinds?.(isFinal) ?? []).map((eventType) => ({
    eventType,
    connectionId,
    timestamp: toDateTime(at),
    message: messageFor(eventType, data['reason']),
    requiresUserAction: eventType === 'TOKEN_REFRESH_FAILED' ? isFinal : needsPerson.has(eventType),
  }))
}

const kindsOf: Readonly<Record<string, (isFinal: boolean) => readonly EventType[]>> = {
  'connection.refreshed': () => ['TOKEN_REFRESHED'],
  'connection.refresh_failed': (isFinal) =>
    isFinal ? ['TOKEN_REFRESH_FAILED', 'REAUTHORIZATION_REQUIRED'] : ['TOKEN_REFRESH_FAILED'],
  'connection.reauthorization_required': () => ['REAUTHORIZATION_REQUIRED'],
  'connection.revoked': () => ['CREDENTIALS_REVOKED'],
  'connection.deleted': () => ['CREDENTIALS_REVOKED'],
}

const needsPerson: ReadonlySet<EventType> = new Set([
  'REAUTHORIZATION_REQUIRED',
  'CREDENTIALS_REVOKED',
])

const usualWords: Readonly<Record<EventType, string>> = {
  TOKEN_REFRESHED: 'The connection was renewed.',
  TOKEN_REFRESH_FAILED: faultCatalogue.provider_unreachable.words,
  REAUTHORIZATION_REQUIRED: faultCatalogue.reauthorization_required.words,
  CREDENTIALS_REVOKED: 'The connection was ended. Connect again when you need it.',
}

/** The reason of a revocation is somebody's own words; any other is a code that has words. */
function messageFor(eventType: EventType, reason: unknown): string {
  const words = typeof reason === 'string' ? wordsOf(reason) : undefined
  return words ?? usualWords[eventType]
}
