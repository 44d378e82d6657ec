// DPoP proofs (RFC 9449 §4): a small JWT by which the sender of one request shows that it holds a key. Read and judged here
// from facts alone; that a proof counts once is left to whoever keeps what was seen.
import { createHash } from 'node:crypto'
import { calculateJwkThumbprint, decodeProtectedHeader, importJWK, jwtVerify } from 'jose'
import type { JWTPayload } from 'jose'
import { z } from 'zod'
import type { Secret } from '../base/secret.ts'
import { dpopAlgorithms } from './dpop-algorithms.ts'
import { asObject } from './shapes.ts'
import { parseHttpUri } from './uri.ts'

/** A proof that holds for the request it came with. */
export interface DpopProof {
  /** The thumbprint of its key, to which tokens are bound (RFC 7638, RFC 9449 §6). */
  readonly jkt: string
  /** Names this proof among all others; it is good for one request (RFC 9449 §11.1). */
  readonly id: string
  /** From this time on it is refused, so that it need not be remembered any longer. */
  readonly goodUntil: number
}

/** An access token as it was presented: `proof` is there when the caller used the DPoP scheme and proved a key. */
export interface PresentedToken {
  readonly token: Secret
  readonly proof?: DpopProof
}

/** Nonces of a server's own making (RFC 9449 §8 and §9). */
export interface DpopNonces {
  /** The one that the next proof should carry. */
  readonly current: () => string
  /** Until when a nonce is good; undefined for any text that is not. */
  readonly goodUntil: (nonce: string) => number | undefined
}

/** The request that a proof came with. */
export interface ProvenRequest {
  /** The DPoP fields, each as it was received. */
  readonly fields: readonly string[]
  readonly method: string
  /** The URL that was asked for, by our own knowledge of where we are. */
  readonly url: string
  readonly now: number
  /** The access token beside it, at a resource (RFC 9449 §7). */
  readonly accessToken?: Secret
  /** When given, every proof carries one of these nonces, and they tell its age. */
  readonly nonces?: DpopNonces
}

export type ProofReading =
  | { readonly kind: 'proof'; readonly proof: DpopProof }
  | {
      readonly kind: 'refused'
      readonly error: 'invalid_dpop_proof' | 'use_dpop_nonce'
      readonly because: string
      readonly cause?: unknown
    }

/** The longest proof that is read: room for an RSA key of 4096 bits and a token hash. */
export const proofCharsMax = 4096

/** How far the clock of a sender may be off, where no nonce tells the age of a proof (RFC 9449 §11.1). */
export const clockWindowMs = 300_000

/** Checks everything that RFC 9449 §4.3 lists. */
export async function readProof(request: ProvenRequest): Promise<ProofReading> {
  const opened = await open(request)
  if ('kind' in opened) return opened
  const { claims, jkt } = opened
  const problem = problemOf(claims, request)
  if (problem !== undefined) return invalid(problem)
  const age = judgeAge(claims, request)
  if ('kind' in age) return age
  return { kind: 'proof', proof: { jkt, id: idOf(jkt, claims), goodUntil: age.goodUntil } }
}

/** Says whether a text has the form of a thumbprint by SHA-256: 43 base64url characters (RFC 7638, RFC 9449 §10). */
export function isThumbprint(text: string): boolean {
  return /^[\w-]{43}$/.test(text)
}

type Refused = Extract<ProofReading, { kind: 'refused' }>

interface Opened {
  readonly claims: Claims
  readonly jkt: string
}

type Claims = z.output<typeof claimsShape>

const claimsShape = z.object({
  jti: z.string().min(1),
  htm: z.string(),
  htu: z.string(),
  iat: z.number(),
  ath: z.string().exactOptional(),
  nonce: z.string().exactOptional(),
})

const compactPattern = /^[\w-]+\.[\w-]+\.[\w-]+$/

/** The claims of the one proof, after its signature was checked with the key that it carries. */
async function open({ fields, now }: ProvenRequest): Promise<Opened | Refused> {
  const [text, ...more] = fields
  if (text === undefined || more.length > 0) return invalid('there is not exactly one DPoP field')
  if (text.length > proofCharsMax || !compactPattern.test(text)) {
    return invalid('the DPoP field is not one compact JWS')
  }
  try {
    return await verify(text, now)
  } catch (cause) {
    // jose refuses with an error of its own for each thing that a stranger can do wrong.
    return { ...invalid('the proof does not verify'), cause }
  }
}

async function verify(text: string, now: number): Promise<Opened | Refused> {
  const { alg, jwk } = decodeProtectedHeader(text)
  const algorithm = dpopAlgorithms.find((known) => known === alg)
  if (algorithm === undefined) return invalid('the signature is of another kind')
  const key = readPublicKey(jwk)
  if (key === undefined) return invalid('the jwk is not a public key that we know')
  const { payload } = await jwtVerify(text, await importJWK(key, algorithm), {
    algorithms: [algorithm],
    typ: 'dpop+jwt',
    currentDate: new Date(now),
  })
  const claims = readClaims(payload)
  if (claims === undefined) return invalid('a claim is missing or malformed')
  return { claims, jkt: await calculateJwkThumbprint(key) }
}

function readClaims(payload: JWTPayload): Claims | undefined {
  const read = claimsShape.safeParse(payload)
  return read.success ? read.data : undefined
}

const coordinate = z.string().length(43)
// A long modulus or exponent would make every check of a signature slow.
const modulus = z.string().max(683)
const exponent = z.string().max(6)

const publicKeys = z.discriminatedUnion('kty', [
  z.object({ kty: z.literal('EC'), crv: z.literal('P-256'), x: coordinate, y: coordinate }),
  z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: coordinate }),
  z.object({ kty: z.literal('RSA'), n: modulus, e: exponent }),
])

const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/** RFC 9449 §4.2: the key is public; only the members that make its thumbprint are taken (RFC 7638 §3.2). */
function readPublicKey(json: unknown): z.output<typeof publicKeys> | undefined {
  const jwk = asObject(json) ?? {}
  if (privateMembers.some((name) => Object.hasOwn(jwk, name))) return undefined
  const read = publicKeys.safeParse(jwk)
  return read.success ? read.data : undefined
}

function problemOf(
  { htm, htu, ath }: Claims,
  { method, url, accessToken }: ProvenRequest,
): string | undefined {
  if (htm !== method) return 'the proof is for another method'
  const target = normalise(htu)
  if (target === undefined || target !== normalise(url)) return 'the proof is for another URL'
  if (accessToken === undefined) return undefined
  return ath === hashOf(accessToken.reveal()) ? undefined : 'the proof is for another token'
}

/** RFC 9449 §4.3: without query and fragment, normalised by syntax and scheme (RFC 3986 §6.2.2 and §6.2.3). */
function normalise(text: string): string | undefined {
  const [bare = ''] = text.split('#', 1)
  if (parseHttpUri(bare) === undefined) return undefined
  const { origin, pathname } = new URL(bare)
  return origin + pathname.replaceAll(/%[0-9A-Fa-f]{2}/g, normaliseOctet)
}

function normaliseOctet(octet: string): string {
  const character = String.fromCharCode(Number.parseInt(octet.slice(1), 16))
  return /[A-Za-z0-9\-._~]/.test(character) ? character : octet.toUpperCase()
}

/** RFC 9449 §4.3: the age is told by `iat` or, where the server has given out nonces, by the nonce alone. */
function judgeAge(
  { iat, nonce }: Claims,
  { now, nonces }: ProvenRequest,
): { readonly goodUntil: number } | Refused {
  if (nonces !== undefined) {
    const goodUntil = nonce === undefined ? undefined : nonces.goodUntil(nonce)
    if (goodUntil !== undefined) return { goodUntil }
    const because = 'the proof has no nonce, or one that is not good any more'
    return { kind: 'refused', error: 'use_dpop_nonce', because }
  }
  const goodUntil = Math.ceil(iat * 1000) + clockWindowMs
  const isNow = now < goodUntil && iat * 1000 <= now + clockWindowMs
  return isNow ? { goodUntil } : invalid('the proof was made at another time')
}

function idOf(jkt: string, { jti, htu }: Claims): string {
  return hashOf(JSON.stringify([jkt, normalise(htu), jti]))
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

function invalid(because: string): Refused {
  return { kind: 'refused', error: 'invalid_dpop_proof', because }
}
