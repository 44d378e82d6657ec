// Which addresses an outbound call may reach: public unicast, and the private networks that the operator allows by name.
// Every way of writing or wrapping an IPv4 address inside IPv6 is unpacked and judged again. Parsing is ipaddr.js's.
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

type Address = ipaddr.IPv4 | ipaddr.IPv6

export interface AddressRules {
  /** May this address be reached at all? */
  readonly mayReach: (address: string, port?: number) => boolean
  /** Is it one of the operator's own, where http is fine: any port of a network, and the one port of a place? */
  readonly isOwn: (address: string, port?: number) => boolean
  /** Has the operator allowed any? */
  readonly hasOwn: boolean
}

const loopback = ['127.0.0.0/8', '::1/128']
// Azure's own services answer here: public by its number, private by its meaning.
const alsoPrivate = new Set(['168.63.129.16'])

/**
 * Reads the rules; throws an Error in plain words for an entry that is neither a CIDR nor `loopback`, nor, where those are
 * taken, a place: one port of one address, such as `127.0.0.1:3000` or `[::1]:3000`.
 */
export function createAddressRules(
  allow: readonly string[],
  { takesPlaces = false }: { readonly takesPlaces?: boolean } = {},
): AddressRules {
  const own = allow
    .flatMap((entry) => (entry === 'loopback' ? loopback : [entry]))
    .map((entry) => (takesPlaces ? readPlace(entry) : undefined) ?? { network: readCidr(entry) })
  const isOwn = (text: string, port?: number) => {
    const address = parse(text)
    if (address === undefined) return false
    return own.some((one) => isAtPort(one, port) && isWithin(unmapped(address), one.network))
  }
  const mayReach = (text: string, port?: number) => isOwn(text, port) || isPublic(parse(text))
  return { isOwn, hasOwn: own.length > 0, mayReach }
}

interface Own {
  readonly network: [Address, number]
  /** Of a place: nothing else there is open. */
  readonly port?: number
}

function isAtPort(own: Own, port: number | undefined): boolean {
  return own.port === undefined || own.port === port
}

const placePattern = /^(?<host>\[[\da-f:.]+\]|[\d.]+):(?<port>[1-9]\d{0,4})$/i

function readPlace(entry: string): Own | undefined {
  const { host, port } = placePattern.exec(entry)?.groups ?? {}
  const address = host === undefined ? undefined : parse(literalAddress(host) ?? '')
  if (address === undefined || Number(port) > 65_535) return undefined
  const bare = unmapped(address)
  return { network: [bare, bare.kind() === 'ipv4' ? 32 : 128], port: Number(port) }
}

/** Is this host a literal address, in brackets or not? */
export function literalAddress(hostname: string): string | undefined {
  const bare = hostname.replace(/^\[|\]$/g, '')
  return isIP(bare) === 0 ? undefined : bare
}

/** An address as people write it; undefined for loopback, behind which is this machine or a proxy on it, and for no address. */
export function shownAddress(text: string): string | undefined {
  const address = parse(text)
  if (address === undefined) return undefined
  const plain = unmapped(address)
  return plain.range() === 'loopback' ? undefined : plain.toString()
}

/** The same network of a public address; undefined for any other address, behind which anybody may be. */
export function publicNetwork(text: string): string | undefined {
  const address = parse(text)
  return address !== undefined && isPublic(unmapped(address)) ? subscriberOf(text) : undefined
}

/**
 * The network whose addresses one subscriber can choose from freely, as one text for all its spellings: an IPv4 address
 * alone, mapped or not, and the /64 of an IPv6 address (RFC 6177 §2). Undefined for what is no address.
 */
export function subscriberOf(text: string): string | undefined {
  const address = parse(text.split('%', 1)[0] ?? '')
  const bare = address && unmapped(address)
  if (bare === undefined || bare.kind() === 'ipv4') return bare?.toString()
  const { parts } = bare as ipaddr.IPv6 // the other kind was handled above
  return `${new ipaddr.IPv6([...parts.slice(0, 4), 0, 0, 0, 0]).toString()}/64`
}

function readCidr(entry: string): [Address, number] {
  const network = ipaddr.isValidCIDR(entry) ? ipaddr.parseCIDR(entry) : undefined
  // Mapped addresses are judged as the IPv4 addresses that they are, so a mapped network would never match.
  if (network === undefined || unmapped(network[0]) !== network[0]) {
    throw new Error(`"${entry}" is not a network such as 10.0.0.0/8, nor "loopback"`)
  }
  return network
}

// RFC 4291 §2.5.5.1, deprecated: ipaddr.js takes ::8.8.8.8 for the mapped ::ffff:8.8.8.8, the system does not.
const compatibleForm = /^::\d+\./

function parse(text: string): Address | undefined {
  return isIP(text) === 0 || compatibleForm.test(text) ? undefined : ipaddr.parse(text)
}

function unmapped(address: Address): Address {
  const isMapped = address.kind() === 'ipv6' && (address as ipaddr.IPv6).isIPv4MappedAddress() // kind() says which
  return isMapped ? (address as ipaddr.IPv6).toIPv4Address() : address // likewise
}

function isWithin(address: Address, [network, bits]: [Address, number]): boolean {
  return address.kind() === network.kind() && address.match([network, bits] as [never, number]) // the kinds are equal
}

function isPublic(address: Address | undefined): boolean {
  if (address === undefined) return false
  if (address.kind() === 'ipv4') {
    return address.range() === 'unicast' && !alsoPrivate.has(address.toString())
  }
  const ipv6 = address as ipaddr.IPv6 // the other kind was handled above
  if (isIsatap(ipv6)) return false
  const wrapped = wrappedIpv4(ipv6)
  return wrapped === undefined ? isGlobalUnicast(ipv6) : isPublic(wrapped)
}

/** RFC 4291 §2.4, as IANA gives it out: 2000::/3 without the special ranges. So Teredo and the rest need no rule. */
function isGlobalUnicast(address: ipaddr.IPv6): boolean {
  const [first = 0] = address.parts
  return first >> 13 === 1 && address.range() === 'unicast'
}

/** RFC 5214 §6.1: an interface identifier 0000:5efe or 0200:5efe tunnels to the IPv4 address after it, under any prefix. */
function isIsatap({ parts }: ipaddr.IPv6): boolean {
  const [, , , , high = 0, low] = parts
  return low === 0x5efe && (high & ~0x0200) === 0
}

/** The IPv4 address inside a mapped, well-known NAT64 (RFC 6052 §2.1) or 6to4 (RFC 3056) address. */
function wrappedIpv4(address: ipaddr.IPv6): ipaddr.IPv4 | undefined {
  if (address.isIPv4MappedAddress()) return address.toIPv4Address()
  const { parts } = address
  if (address.match(wellKnownNat64)) return fromParts(parts[6], parts[7])
  if (address.range() === '6to4') return fromParts(parts[1], parts[2])
  return undefined
}

const wellKnownNat64 = ipaddr.IPv6.parseCIDR('64:ff9b::/96')

function fromParts(high = 0, low = 0): ipaddr.IPv4 {
  return new ipaddr.IPv4([high >> 8, high & 255, low >> 8, low & 255])
}
