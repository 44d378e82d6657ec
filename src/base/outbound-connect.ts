// How an outbound connection is made: resolve the name once, judge every address, connect to one that was judged. The name
// stays for TLS; nothing resolves it a second time, so an answer that changes in between (DNS rebinding) changes nothing.
import { isIPv6 } from 'node:net'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { callbackify } from 'node:util'
import { buildConnector } from 'undici'
import type { AddressRules } from './addresses.ts'
import { literalAddress } from './addresses.ts'
import { Fault } from './fault.ts'

/** All addresses of a name. */
export type Resolve = (hostname: string) => Promise<readonly string[]>

/** Where a vetted address is really reached; tests map it to a listener of theirs. */
export type Connector = (target: {
  readonly address: string
  readonly port: number
  readonly hostname: string
}) => { readonly address: string; readonly port: number }

interface Needs {
  readonly rules: AddressRules
  /** Ports of public addresses. */
  readonly ports: readonly number[]
  readonly resolve: Resolve
  readonly connect: Connector | undefined
  /** For looking a name up, and for each try to connect. */
  readonly timeoutMs: number
}

/** Makes undici's `connect`: it only ever reaches vetted addresses, one after the other until one answers. */
export function createPinnedConnect(needs: Needs): buildConnector.connector {
  const { connect = (target) => target, timeoutMs } = needs
  // HTTP/1.1 only: its limits on headers and its one request per connection are the ones we count on.
  const dial = buildConnector({ timeout: timeoutMs, allowH2: false })

  const open = async (options: buildConnector.Options): Promise<Socket> => {
    const { addresses, port } = await pin(needs, options)
    const { hostname } = options
    let failure: unknown
    for (const address of addresses) {
      const target = connect({ address, port, hostname })
      const servername = serverNameOf(options)
      const place = { hostname: target.address, host: target.address, port: String(target.port) }
      try {
        return await dialed(dial, { ...options, ...place, servername })
      } catch (error) {
        failure = error // the next address may answer
      }
    }
    throw failure
  }

  const openLater = callbackify(open)
  return (options, callback) =>
    openLater(options, (error, socket) =>
      error === null ? callback(null, socket) : callback(error, null),
    )
}

function dialed(dial: buildConnector.connector, options: buildConnector.Options): Promise<Socket> {
  return new Promise((resolve, reject) => {
    dial(options, (error, socket) => (error === null ? resolve(socket) : reject(error)))
  })
}

interface Target {
  readonly addresses: readonly string[]
  readonly port: number
}

/** The port that a URL means. */
export function portOf({
  port,
  protocol,
}: {
  readonly port: string
  readonly protocol: string
}): number {
  if (port !== '') return Number(port)
  return protocol === 'https:' ? 443 : 80
}

const addressesMaximum = 4

/**
 * Resolves and judges a place without connecting. Throws Fault('discovery_blocked' | 'name_unresolved' |
 * 'insecure_endpoint').
 */
export async function pin(
  { rules, ports, resolve, timeoutMs }: Omit<Needs, 'connect'>,
  { hostname, port, protocol }: Pick<buildConnector.Options, 'hostname' | 'port' | 'protocol'>,
): Promise<Target> {
  const found = await addressesOf(hostname, { resolve, timeoutMs })
  const place = portOf({ port, protocol })
  if (!found.every((address) => rules.mayReach(address, place))) {
    throw blocked('the name has an address that may not be reached')
  }
  const addresses = inTurns(found).slice(0, addressesMaximum)
  const target = { addresses, port: place }
  if (found.every((address) => rules.isOwn(address, place))) return target
  if (protocol !== 'https:') {
    throw notHttps('plain http leads to a public address')
  }
  if (!ports.includes(target.port)) throw blocked(`port ${target.port} may not be reached`)
  return target
}

async function addressesOf(
  hostname: string,
  { resolve, timeoutMs }: Pick<Needs, 'resolve' | 'timeoutMs'>,
): Promise<readonly string[]> {
  const literal = literalAddress(hostname)
  if (literal !== undefined) return [literal]
  const done = new AbortController()
  try {
    const search = resolve(hostname).catch(() => [])
    const found = await Promise.race([search, delay(timeoutMs, [], { signal: done.signal })])
    if (found.length > 0) return found
  } finally {
    done.abort()
  }
  throw new Fault('name_unresolved', { because: 'the name has no address' })
}

/** IPv6 and IPv4 by turns (as RFC 8305 §4), so that one broken family does not use up every try. */
function inTurns(addresses: readonly string[]): readonly string[] {
  const isIpv6First = isIPv6(addresses[0] ?? '')
  const first = addresses.filter((address) => isIPv6(address) === isIpv6First)
  const second = addresses.filter((address) => isIPv6(address) !== isIpv6First)
  return addresses.flatMap((_, index) => [
    ...first.slice(index, index + 1),
    ...second.slice(index, index + 1),
  ])
}

/** The name that the certificate must hold; none for a literal address, whose certificate must hold the address. */
function serverNameOf({ hostname, protocol }: buildConnector.Options): string {
  return protocol === 'https:' && literalAddress(hostname) === undefined ? hostname : ''
}

const setting = 'LATCHKEY_ALLOW_PRIVATE_NETWORKS'

/** The refusal of an address by the rules. It is the same for all of them, so that it tells nothing. */
export function blocked(because: string, cause?: Fault): Fault {
  return new Fault('discovery_blocked', {
    because: `${because}; ${setting} allows networks of one's own`,
    cause,
    detail: {
      url: `Use a public https address with port 443. Whoever runs Latchkey can allow networks of their own, such as 10.0.0.0/8 or loopback, with ${setting}.`,
    },
  })
}

/** The refusal of plain http, which is for networks that the operator allows. */
export function notHttps(because: string): Fault {
  return new Fault('insecure_endpoint', {
    because,
    detail: {
      url: `Plain http is only for networks that whoever runs Latchkey allows with ${setting}, such as loopback.`,
    },
  })
}
