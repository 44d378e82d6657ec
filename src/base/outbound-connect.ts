// How an outbound connection is made: resolve the name once, judge every address, connect to one that was judged. The name
// stays for TLS; nothing resolves it a second time, so an answer that changes in between (DNS rebinding) changes nothing.
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
  readonly timeoutMs: number
}

/** Makes undici's `connect`: it only ever reaches vetted addresses, one after the other until one answers. */
export function createPinnedConnect(needs: Needs): buildConnector.connector {
  const { connect = (target) => target, timeoutMs } = needs
  const dial = buildConnector({ timeout: timeoutMs })

  const tryNext = (
    { addresses, port }: Target,
    options: buildConnector.Options,
    callback: buildConnector.Callback,
  ): void => {
    const [first = '', ...others] = addresses
    const { hostname } = options
    const target = connect({ address: first, port, hostname })
    const place = { hostname: target.address, host: target.address, port: String(target.port) }
    const servername = options.servername ?? serverNameOf(hostname)
    dial({ ...options, ...place, servername }, (...[error, socket]: CallbackFacts) => {
      if (error !== null && others.length > 0) {
        tryNext({ addresses: others, port }, options, callback)
        return
      }
      callback(...([error, socket] as Parameters<buildConnector.Callback>)) // the same two facts
    })
  }

  return (options, callback) => {
    pin(needs, options).then(
      (target) => tryNext(target, options, callback),
      (refusal: unknown) => callback(refusal as Error, null), // pin rejects with a Fault only
    )
  }
}

type CallbackFacts = Parameters<buildConnector.Callback>

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

const addressesMaximum = 8

async function pin(
  { rules, ports, resolve }: Needs,
  { hostname, port, protocol }: buildConnector.Options,
): Promise<Target> {
  const addresses = (await addressesOf(hostname, resolve)).slice(0, addressesMaximum)
  if (addresses.length === 0 || !addresses.every((found) => rules.mayReach(found))) {
    throw blocked('the name has an address that may not be reached')
  }
  const target = { addresses, port: portOf({ port, protocol }) }
  if (addresses.every((found) => rules.isOwn(found))) return target
  if (protocol !== 'https:') {
    throw new Fault('insecure_endpoint', { because: 'plain http leads to a public address' })
  }
  if (!ports.includes(target.port)) throw blocked(`port ${target.port} may not be reached`)
  return target
}

async function addressesOf(hostname: string, resolve: Resolve): Promise<readonly string[]> {
  const literal = literalAddress(hostname)
  if (literal !== undefined) return [literal]
  try {
    return await resolve(hostname)
  } catch {
    throw blocked('the name has no address')
  }
}

function serverNameOf(hostname: string): string {
  return literalAddress(hostname) === undefined ? hostname : ''
}

function blocked(because: string): Fault {
  return new Fault('discovery_blocked', { because })
}
