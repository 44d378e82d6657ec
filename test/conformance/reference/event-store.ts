// The events of one session's streams, so that a client whose stream ended can ask for what it missed.
import type { EventStore, JSONRPCMessage } from '@modelcontextprotocol/server'

/** Keeps them for as long as the session lives. */
export function createEventStore(): EventStore {
  const events: Event[] = []
  const findStream = (eventId: string) => events.find(({ id }) => id === eventId)?.stream
  return {
    storeEvent: async (stream, message) => {
      const id = `${events.length}`
      events.push({ id, stream, message })
      return id
    },
    getStreamIdForEventId: async (eventId) => findStream(eventId),
    replayEventsAfter: async (lastEventId, { send }) => {
      const missed = events.slice(Number(lastEventId) + 1)
      const ofStream = missed.filter(({ stream }) => stream === findStream(lastEventId))
      for (const { id, message } of ofStream.filter(hasContent)) await send(id, message)
      return findStream(lastEventId) ?? ''
    },
  }
}

interface Event {
  readonly id: string
  readonly stream: string
  readonly message: JSONRPCMessage
}

/** The event that opens a stream says nothing but its id. */
function hasContent({ message }: Event): boolean {
  return Object.keys(message).length > 0
}
