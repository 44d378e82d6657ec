// Streams that stay open: they end with the connection, the server, the client, the consent or the tenant that they hang on. A call is
// judged anew each time; a stream is judged once, so it listens to the journal, which also has what other processes ended.
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { EntryType, Journal, SealedEntry } from '../journal/entries.ts'
import type { TokenPrincipal } from '../people/principal.ts'

/** A stream, and what it hangs on. */
export interface OpenStream {
  readonly principal: Pick<TokenPrincipal, 'tenant' | 'user' | 'grantId' | 'clientId'>
  readonly serverId: string
  /** Absent where the server takes no connection of the person. */
  readonly connectionId: string | undefined
  /** Whose connection it is, where somebody else shares it. */
  readonly ownerId: string | undefined
  /** Does what carried the call still hold? */
  readonly holds: () => Promise<boolean>
  readonly end: () => void
}

export interface OpenStreams {
  /** Watches a stream until what it gives is called. */
  readonly watch: (stream: OpenStream) => () => void
  readonly close: () => void
}

interface Needs {
  readonly clock: Clock
  readonly log: Log
  readonly journal: Pick<Journal, 'subscribe' | 'head'>
}

/** Most answers that are streams are over sooner, and it costs nothing to wait and see. */
const briefMs = 1_000

/** Makes the watch of one process. */
export function createOpenStreams({ clock, log, journal }: Needs): OpenStreams {
  const streams = new Set<OpenStream>()
  let unsubscribe: (() => void) | undefined

  const hear = (entry: SealedEntry) => {
    for (const stream of streams) if (endsWith(stream, entry)) stream.end()
  }
  const leave = (stream: OpenStream) => {
    streams.delete(stream)
    if (streams.size > 0) return
    unsubscribe?.()
    unsubscribe = undefined
  }
  const join = async (stream: OpenStream) => {
    streams.add(stream)
    if (unsubscribe === undefined) {
      unsubscribe = journal.subscribe(hear)
      // Whoever asks for the head has everything that comes after it told.
      await journal.head(stream.principal.tenant.id)
    }
    // What was ended before anybody listened.
    if (!(await stream.holds())) stream.end()
  }

  return {
    watch: (stream) => {
      const over = new AbortController()
      const isLong = clock.sleep(briefMs, over.signal).then(
        () => true,
        () => false, // It was brief.
      )
      isLong
        .then((lasts) => (lasts && !over.signal.aborted ? join(stream) : undefined))
        .catch((cause: unknown) => {
          // A stream that nobody can end is not left open.
          log.warn({ cause }, 'an open stream could not be watched')
          stream.end()
        })
      return () => {
        over.abort()
        leave(stream)
      }
    },
    close: () => {
      streams.clear()
      unsubscribe?.()
      unsubscribe = undefined
    },
  }
}

function endsWith(stream: OpenStream, { tenantId, type, subject, data }: SealedEntry): boolean {
  const { tenant } = stream.principal
  if (endsTenant.has(type)) return subject?.id === tenant.id
  if (tenantId !== tenant.id || subject === undefined) return false
  if (type === 'server.updated' && !isAnotherServer(data)) return false
  const hangsOn = whatEnds[type]
  return hangsOn !== undefined && hangsOn(stream).includes(subject.id)
}

/** Noted where the operators are, and not in the tenant that they speak of. */
const endsTenant: ReadonlySet<EntryType> = new Set(['tenant.disabled', 'tenant.deleted'])

/** Another address or sign-in, or another list of those who may use it: who still may, comes back. */
function isAnotherServer({ droppedTokens, fields }: SealedEntry['data']): boolean {
  return droppedTokens === true || (Array.isArray(fields) && fields.includes('mayUse'))
}

/** What each of these ends, by the id of its subject. */
const whatEnds: Readonly<
  Partial<Record<EntryType, (stream: OpenStream) => readonly (string | undefined)[]>>
> = {
  'connection.revoked': ({ connectionId }) => [connectionId],
  'connection.deleted': ({ connectionId }) => [connectionId],
  'connection.unshared': ({ connectionId }) => [connectionId],
  'connection.reauthorization_required': ({ connectionId }) => [connectionId],
  'server.deleted': ({ serverId }) => [serverId],
  'server.updated': ({ serverId }) => [serverId],
  'grant.revoked': ({ principal }) => [principal.grantId],
  // A list may have let them in for their role alone; who still may, comes back.
  'user.role_changed': ({ principal, ownerId }) => [principal.user?.id, ownerId],
  'user.disabled': ({ principal, ownerId }) => [principal.user?.id, ownerId],
  'user.deleted': ({ principal, ownerId }) => [principal.user?.id, ownerId],
  'client.disabled': ({ principal }) => [principal.clientId],
  'client.deleted': ({ principal }) => [principal.clientId],
}
