// Private keys that prove us to others: made from given chance, or read from what somebody gave, and what of them everybody
// may know (RFC 7517, RFC 7518). Keeping them is left to whoever made them.
import { createECDH, createHash, createPrivateKey, createPublicKey } from 'node:crypto'
import type { KeyObject, webcrypto } from 'node:crypto'
import { Secret } from '../base/secret.ts'
import type { SigningAlgorithm } from './jws.ts'
import { asObject, field } from './shapes.ts'

/** A private key in the form in which it is kept: a JWK (RFC 7517 §4) with its algorithm and the name of its public half. */
export interface PrivateKey {
  readonly jwk: Secret
  readonly publicJwk: PublicJwk
}

/** What everybody may know of a key. */
export interface PublicJwk {
  readonly kty: string
  readonly alg: SigningAlgorithm
  /** As whoever gave it names it, else its thumbprint (RFC 7638). */
  readonly kid: string
  readonly use: 'sig'
  readonly [member: string]: string
}

/** A private key, ready to sign. */
export interface SigningKey {
  readonly key: KeyObject
  readonly publicJwk: PublicJwk
}

/** The bytes of chance that a key is made from. */
export const privateKeyBytes = 32
const coordinateBytes = 32

/** A key for ES256 (RFC 7518 §3.4). One in four billion is beyond the order of the curve, and throws. */
export function makePrivateKey(bytes: Uint8Array): PrivateKey {
  const pair = createECDH('prime256v1')
  pair.setPrivateKey(bytes)
  // An uncompressed point is one byte, then x, then y (SEC 1 §2.3.3).
  const point = pair.getPublicKey()
  const [x, y] = [point.subarray(1, 1 + coordinateBytes), point.subarray(1 + coordinateBytes)]
  const publicMembers = { crv: 'P-256', kty: 'EC', x: encode(x), y: encode(y) }
  const name = { alg: 'ES256', kid: thumbprintOf(publicMembers) } as const
  return kept(publicMembers, { ...publicMembers, d: encode(bytes) }, name)
}

/** Reads a private key in PEM (PKCS #8) or as a JWK; undefined for what is none, or none that signs as we can. */
export function readPrivateKey(text: Secret): PrivateKey | undefined {
  try {
    const given = text.reveal().trim()
    const said = given.startsWith('{') ? (asObject(JSON.parse(given)) ?? {}) : {}
    const [wanted, name] = [field(said, 'alg'), field(said, 'kid')]
    const key = keyOf(given)
    const algorithms = algorithmsOf(key)
    const alg = wanted === undefined ? algorithms[0] : algorithms.find((one) => one === wanted)
    if (alg === undefined) return undefined
    const publicMembers = membersOf(createPublicKey(key))
    const kid = typeof name === 'string' && keyName.test(name) ? name : thumbprintOf(publicMembers)
    return kept(publicMembers, membersOf(key), { alg, kid })
  } catch {
    return undefined // node:crypto throws an error of its own for each thing that can be wrong, and some repeat the text.
  }
}

/** Opens a key that was kept. */
export function openPrivateKey(jwk: Secret): SigningKey {
  const members = JSON.parse(jwk.reveal()) as webcrypto.JsonWebKey & PublicJwk // only kept() writes it
  const key = createPrivateKey({ key: members, format: 'jwk' })
  return { key, publicJwk: published(membersOf(createPublicKey(key)), members) }
}

/** RFC 7638 §3: the required members, in the order of their names. */
export function thumbprintOf(publicMembers: Readonly<Record<string, string>>): string {
  const names = requiredMembers[publicMembers['kty'] ?? ''] ?? []
  const required = Object.fromEntries(names.map((name) => [name, publicMembers[name]]))
  return createHash('sha256').update(JSON.stringify(required)).digest('base64url')
}

const requiredMembers: Readonly<Record<string, readonly string[]>> = {
  EC: ['crv', 'kty', 'x', 'y'],
  OKP: ['crv', 'kty', 'x'],
  RSA: ['e', 'kty', 'n'],
}

// Above, a signature would hold up everybody else; below, it proves nothing.
const modulusBitsMin = 2048
const modulusBitsMax = 4096

/** The signatures of a key, the usual one first. */
function algorithmsOf(key: KeyObject): readonly SigningAlgorithm[] {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details = {} } = key
  if (type === 'ed25519') return ['EdDSA', 'Ed25519']
  if (type === 'ec') return details.namedCurve === 'prime256v1' ? ['ES256'] : []
  const bits = type === 'rsa' ? (details.modulusLength ?? 0) : 0
  return bits >= modulusBitsMin && bits <= modulusBitsMax ? ['RS256', 'PS256'] : []
}

function keyOf(given: string): KeyObject {
  if (!given.startsWith('{')) return createPrivateKey({ key: given, format: 'pem' })
  const jwk = JSON.parse(given) as webcrypto.JsonWebKey // createPrivateKey checks it
  return createPrivateKey({ key: jwk, format: 'jwk' })
}

function membersOf(key: KeyObject): Readonly<Record<string, string>> {
  return key.export({ format: 'jwk' }) as Record<string, string> // of these kinds of keys all members are texts
}

type Name = Pick<PublicJwk, 'alg' | 'kid'>

const keyName = /^[\x21-\x7e]{1,200}$/

function kept(
  publicMembers: Readonly<Record<string, string>>,
  members: Readonly<Record<string, string>>,
  { alg, kid }: Name,
): PrivateKey {
  const jwk = new Secret(JSON.stringify({ ...members, alg, kid }))
  return { jwk, publicJwk: published(publicMembers, { alg, kid }) }
}

function published(publicMembers: Readonly<Record<string, string>>, { alg, kid }: Name): PublicJwk {
  const { kty = '' } = publicMembers
  return { ...publicMembers, kty, alg, kid, use: 'sig' }
}

function encode(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url')
}
