// Stands between the suite, which sends no token, and the gateway, which takes no call without one: adds the field and
// changes nothing else. Its own name in Host and Origin becomes the gateway's; a foreign one stays, because the suite tries that.
import { request as send } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream'
import { listenOnLoopback } from '../counterparts/loopback.ts'
import type { Loopback } from '../counterparts/loopback.ts'

/** Starts it before one endpoint; what comes to any path goes there. */
export function startTokenShim(endpoint: string, token: string): Promise<Loopback> {
  const target = new URL(endpoint)
  return listenOnLoopback(
    (own) => (incoming, outgoing) => {
      const renamed = (text: string) => text.replaceAll(new URL(own).host, () => target.host)
      passOn({
        incoming,
        outgoing,
        target,
        fields: { ...fieldsOf(incoming, renamed), authorization: `Bearer ${token}` },
      })
    },
    { host: 'localhost' },
  )
}

interface Passed {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  readonly target: URL
  readonly fields: Readonly<Record<string, string | readonly string[]>>
}

function passOn({ incoming, outgoing, target, fields }: Passed): void {
  const headers = Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : [...value],
    ]),
  )
  const { method } = incoming
  const forwarded = send(target, { ...(method === undefined ? {} : { method }), headers })
  forwarded.once('response', (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
    outgoing.flushHeaders()
    pipeline(answer, outgoing, () => forwarded.destroy())
  })
  forwarded.once('error', () => outgoing.destroy())
  // Whoever hangs up here hangs up there.
  outgoing.once('close', () => forwarded.destroy())
  incoming.pipe(forwarded)
}

function fieldsOf({ headers }: IncomingMessage, renamed: (text: string) => string) {
  const named = Object.entries(headers).map(([name, value = '']) => {
    const isPlace = name === 'host' || name === 'origin'
    return [name, isPlace && typeof value === 'string' ? renamed(value) : value] as const
  })
  return Object.fromEntries(named)
}
