// What an app that embeds us hears of its users' connections: the journal's entries in the words of MCP hosts.
import type { EntryType, SealedEntry } from '../journal/entries.ts'

export type ConnectorEventType =
  | 'authorizationRequired'
  | 'authorizationCompleted'
  | 'tokenRefreshed'
  | 'tokenRefreshFailed'
  | 'credentialsRevoked'

export interface ConnectorEvent {
  readonly type: ConnectorEventType
  /** The app's own id of the user. */
  readonly user: string
  readonly connectionId: string
  /** Milliseconds since 1970. */
  readonly at: number
  readonly reason?: string
  /** Only the user can mend it, by signing in again. */
  readonly requiresReauthorization: boolean
}

const types: Partial<Record<EntryType, ConnectorEventType>> = {
  'connection.authorizing': 'authorizationRequired',
  'connection.reauthorization_required': 'authorizationRequired',
  'connection.connected': 'authorizationCompleted',
  'connection.refreshed': 'tokenRefreshed',
  'connection.refresh_failed': 'tokenRefreshFailed',
  'connection.revoked': 'credentialsRevoked',
  'connection.deleted': 'credentialsRevoked',
}

/** The event in an entry; undefined for what is no business of an app. */
export function toConnectorEvent(
  { type, subject, at, data }: SealedEntry,
  user: string,
): ConnectorEvent | undefined {
  const known = types[type]
  if (known === undefined || subject?.kind !== 'connection') return undefined
  const { reason } = data
  return {
    type: known,
    user,
    connectionId: subject.id,
    at,
    ...(typeof reason === 'string' ? { reason } : {}),
    requiresReauthorization:
      known === 'authorizationRequired' || data['requiresReauthorization'] === true,
  }
}
