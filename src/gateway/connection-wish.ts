// Which of the person's connections a call is for: named by a header, or in the address for clients that can send none.
// Nothing of it goes on to the server.
import type { IncomingMessage } from 'node:http'
import { Fault } from '../base/fault.ts'
import type { ConnectionWish } from '../connectors/credential.ts'

const header = 'latchkey-connection'
const parameter = 'connection'

/** The label that the request names. Throws Fault('connection_unknown') for more than one. */
export function connectionWish({ headers, url = '' }: IncomingMessage): ConnectionWish {
  const query = url.includes('?') ? url.slice(url.indexOf('?')) : ''
  const named = [headers[header] ?? [], new URLSearchParams(query).getAll(parameter)].flat()
  const [label, ...others] = new Set(named)
  if (others.length === 0) return { label }
  throw new Fault('connection_unknown', { because: 'the call names more than one connection' })
}
