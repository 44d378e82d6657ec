// Sealing, opening, digesting and signing under the master key. Each purpose has a key of its own (HKDF), each envelope
// is bound to its place (AES-256-GCM with associated data), so a sealed value that is moved does not open.
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  hkdfSync,
  timingSafeEqual,
} from 'node:crypto'
import { Fault } from './fault.ts'
import type { Random } from './random.ts'
import { Secret } from './secret.ts'

/** Where a sealed value lives; it opens nowhere else. */
export interface SealPlace {
  readonly tenant: string
  readonly table: string
  readonly row: string
  readonly column: string
}

/** What a digest is for; two purposes never give the same digest. */
export type DigestPurpose = string

export interface MasterKey {
  readonly id: string
  /** 32 bytes. */
  readonly key: Uint8Array
}

export interface Keyring {
  /** An envelope `v1.<key id>.<base64url>` under the active key. */
  readonly seal: (plain: Secret | string, place: SealPlace) => string
  /** Throws Fault('decrypt_failed') when it was altered, moved, or sealed under a key we do not have. */
  readonly open: (sealed: string, place: SealPlace) => Secret
  /** A keyed digest under the active key, for storing. */
  readonly digest: (purpose: DigestPurpose, value: Secret | string) => string
  /** The digests under every live key, active first, for looking up. */
  readonly digests: (purpose: DigestPurpose, value: Secret | string) => readonly string[]
  /** Is this the digest of the value under one of the live keys? Compares in constant time. */
  readonly matches: (purpose: DigestPurpose, value: Secret | string, digest: string) => boolean
  readonly sign: (purpose: string, data: string) => string
  /** Compares in constant time, under every live key. */
  readonly verify: (purpose: string, data: string, tag: string) => boolean
  readonly activeKeyId: string
  /** The ids of the live keys, the active one first. */
  readonly keyIds: readonly string[]
}

const keyBytes = 32
const nonceBytes = 12
const tagBytes = 16
const idShape = /^[\w-]{1,64}$/
const envelopeShape = /^v1\.(?<keyId>[\w-]{1,64})\.(?<envelope>[\w-]+)$/

/** Makes a keyring; the first key is the active one, the others only open and look up. */
export function createKeyring(
  { random }: { readonly random: Random },
  masterKeys: readonly MasterKey[],
): Keyring {
  const [active] = masterKeys
  if (active === undefined) throw new Error('a keyring needs at least one master key')
  requireUsable(masterKeys)
  const derived = new Map<string, Buffer>()
  const keyFor = (master: MasterKey, purpose: string) => {
    const name = `${master.id}|${purpose}`
    const known = derived.get(name)
    if (known !== undefined) return known
    const made = Buffer.from(hkdfSync('sha256', master.key, '', `latchkey|${purpose}`, keyBytes))
    derived.set(name, made)
    return made
  }
  const mac = (master: MasterKey, purpose: string, data: string) =>
    createHmac('sha256', keyFor(master, purpose)).update(data).digest('base64url')
  const digests = (purpose: DigestPurpose, value: Secret | string) =>
    masterKeys.map((master) => mac(master, `digest|${purpose}`, plainOf(value)))

  return {
    activeKeyId: active.id,
    keyIds: masterKeys.map(({ id }) => id),
    digests,
    digest: (purpose, value) => mac(active, `digest|${purpose}`, plainOf(value)),
    matches: (purpose, value, digest) =>
      digests(purpose, value).some((one) => constantTimeEqual(one, digest)),
    sign: (purpose, data) => mac(active, `sign|${purpose}`, data),
    verify: (purpose, data, tag) =>
      masterKeys.some((master) => constantTimeEqual(mac(master, `sign|${purpose}`, data), tag)),
    seal: (plain, place) => {
      const data = associatedData(place, active.id)
      const envelope = encrypt({ key: keyFor(active, 'seal'), data, random }, plainOf(plain))
      return `v1.${active.id}.${envelope}`
    },
    open: (sealed, place) => {
      const where = `${place.table}.${place.column}`
      const { keyId, envelope } = envelopeShape.exec(sealed)?.groups ?? {}
      // What has another shape may be a secret that was never sealed, so no part of it is told.
      if (keyId === undefined || envelope === undefined) throw cannotOpen(`${where} is not sealed`)
      const master = masterKeys.find(({ id }) => id === keyId)
      if (master === undefined)
        throw cannotOpen(`${where} needs the key ${keyId}, which is not here`)
      const data = associatedData(place, keyId)
      const plain = decrypt({ key: keyFor(master, 'seal'), data }, envelope)
      if (plain === undefined) throw cannotOpen(`${where} under the key ${keyId}`)
      return new Secret(plain)
    },
  }
}

/** What is sealed must open again: an envelope finds its key by an id without dots that no other key has. */
function requireUsable(masterKeys: readonly MasterKey[]): void {
  const isUsable = masterKeys.every(({ id, key }) => idShape.test(id) && key.length === keyBytes)
  if (!isUsable) throw new Error('a master key must have an id and 32 bytes')
  const ids = new Set(masterKeys.map(({ id }) => id))
  if (ids.size < masterKeys.length) throw new Error('a master key is given twice')
}

/** Reads master keys: 32 bytes in base64url each, one per line or comma, the active one first. Throws an Error in plain words. */
export function parseMasterKeys(text: string): MasterKey[] {
  const lines = text.split(/[\s,]+/).filter((line) => line !== '')
  if (lines.length === 0) throw new Error('the master key is empty')
  return lines.map((line) => {
    // `openssl rand -base64 32` writes the other alphabet; both mean the same bytes.
    const text = line.replaceAll('+', '-').replaceAll('/', '_').replace(/=$/, '')
    const key = Buffer.from(text, 'base64url')
    const isExact = key.length === keyBytes && key.toString('base64url') === text
    if (!isExact) throw new Error('a master key must be 32 bytes in base64url')
    return { id: createHash('sha256').update(key).digest('base64url').slice(0, 8), key }
  })
}

/** Seals under a secret itself: only who presents that secret can open it again. */
export function sealUnder(secret: Secret, plain: string, purpose: string, random: Random): string {
  return encrypt({ key: keyFrom(secret, purpose), data: Buffer.from(purpose), random }, plain)
}

/** Opens what `sealUnder` made; undefined when it does not open. */
export function openUnder(secret: Secret, sealed: string, purpose: string): Secret | undefined {
  const plain = decrypt({ key: keyFrom(secret, purpose), data: Buffer.from(purpose) }, sealed)
  return plain === undefined ? undefined : new Secret(plain)
}

/** Compares two texts in a time that depends on their lengths only. */
export function constantTimeEqual(a: string, b: string): boolean {
  const left = Buffer.from(a)
  const right = Buffer.from(b)
  return left.length === right.length && timingSafeEqual(left, right)
}

function keyFrom(secret: Secret, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret.reveal(), '', `latchkey|${purpose}`, keyBytes))
}

interface Sealing {
  readonly key: Buffer
  readonly data: Buffer
}

function encrypt({ key, data, random }: Sealing & { random: Random }, plain: string): string {
  const nonce = random.bytes(nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(data)
  const sealed = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()])
  return Buffer.concat([nonce, sealed, cipher.getAuthTag()]).toString('base64url')
}

function decrypt({ key, data }: Sealing, envelope: string): string | undefined {
  const bytes = Buffer.from(envelope, 'base64url')
  if (bytes.length < nonceBytes + tagBytes || bytes.toString('base64url') !== envelope) return
  const nonce = bytes.subarray(0, nonceBytes)
  const tag = bytes.subarray(-tagBytes)
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes })
  decipher.setAAD(data).setAuthTag(tag)
  try {
    const plain = decipher.update(bytes.subarray(nonceBytes, -tagBytes))
    return Buffer.concat([plain, decipher.final()]).toString('utf8')
  } catch {
    return undefined // the tag does not fit: altered, moved, or another key
  }
}

/** Each part with its length before it, so that no two places give the same bytes. */
function associatedData(place: SealPlace, keyId: string): Buffer {
  const parts = [place.tenant, place.table, place.row, place.column, keyId]
  return Buffer.from(parts.map((part) => `${Buffer.byteLength(part)}:${part}`).join('|'))
}

function plainOf(value: Secret | string): string {
  return typeof value === 'string' ? value : value.reveal()
}

function cannotOpen(because: string): Fault {
  return new Fault('decrypt_failed', { because: `a sealed value does not open: ${because}` })
}
