// Owns an MCP server that takes tokens only with a proof of their key (RFC 9449), as a server does that is not ours: the
// SDK has none. A nonce of its own may be asked for, and every proof counts once.
import type { AuthInfo } from '@modelcontextprotocol/server'
import { calculateJwkThumbprint, decodeProtectedHeader, EmbeddedJWK, jwtVerify } from 'jose'
import { createHash, randomUUID } from 'node:crypto'
import { startMcpServer } from './mcp-server.ts'
import type { Guard, RunningMcpServer } from './mcp-server.ts'

export interface DpopMcpServerOptions {
  readonly issuer: string
  readonly introspect: (token: string) => Promise<Readonly<Record<string, unknown>>>
  /** Every proof has to carry the nonce of the moment. */
  readonly wantsNonce?: boolean
  /** Tokens without a key are taken as well. */
  readonly takesBearer?: boolean
}

export interface RunningDpopMcpServer extends RunningMcpServer {
  /** The keys of the proofs that were taken, by thumbprint, in order. */
  readonly keys: () => readonly string[]
  /** Gives out another nonce from now on. */
  readonly changeNonce: () => void
}

/** Starts it. */
export async function startDpopMcpServer(
  options: DpopMcpServerOptions,
): Promise<RunningDpopMcpServer> {
  const state: State = { options, nonce: randomUUID(), seen: new Set(), keys: [] }
  const running = await startMcpServer((origin) => guardOf(origin, state))
  return {
    ...running,
    keys: () => [...state.keys],
    changeNonce: () => void (state.nonce = randomUUID()),
  }
}

interface State {
  readonly options: DpopMcpServerOptions
  nonce: string
  readonly seen: Set<unknown>
  readonly keys: string[]
}

function guardOf(origin: string, state: State): Guard {
  const { issuer, introspect, takesBearer = false } = state.options
  const metadata = `${origin}/.well-known/oauth-protected-resource/mcp`
  const refuse = (error?: string) => {
    const dpop = `DPoP ${error === undefined ? '' : `error="${error}", `}algs="ES256"`
    const first = `${takesBearer ? 'Bearer' : 'DPoP'} resource_metadata="${metadata}"`
    const headers = { 'www-authenticate': `${first}, ${dpop}`, 'dpop-nonce': state.nonce }
    return new Response(null, { status: 401, headers })
  }
  return async (request) => {
    if (request.url === metadata) {
      return Response.json({ resource: `${origin}/mcp`, authorization_servers: [issuer] })
    }
    const [scheme = '', token = ''] = request.headers.get('authorization')?.split(' ') ?? []
    if (token === '') return refuse()
    const said = await introspect(token)
    if (said['active'] !== true) return refuse('invalid_token')
    const bound = (said['cnf'] as { jkt?: string } | undefined)?.jkt // RFC 9449 §6.2
    if (scheme === 'Bearer' && takesBearer && bound === undefined) return infoOf(token)
    const proof = scheme === 'DPoP' ? await readProof(state, request, token) : 'invalid_token'
    if ('jkt' in Object(proof) && typeof proof === 'object' && proof.jkt === bound) {
      state.keys.push(proof.jkt)
      return infoOf(token)
    }
    return refuse(typeof proof === 'string' ? proof : 'invalid_token')
  }
}

function infoOf(token: string): AuthInfo {
  return { token, clientId: 'whoever', scopes: [] }
}

/** RFC 9449 §4.3, step by step. */
async function readProof(
  state: State,
  request: Request,
  token: string,
): Promise<{ readonly jkt: string } | string> {
  const text = request.headers.get('dpop') ?? ''
  try {
    const { payload } = await jwtVerify(text, EmbeddedJWK, {
      typ: 'dpop+jwt',
      algorithms: ['ES256'],
    })
    const { jti, htm, htu, iat = 0, ath, nonce } = payload
    if (state.options.wantsNonce === true && nonce !== state.nonce) return 'use_dpop_nonce'
    const isNew = typeof jti === 'string' && !state.seen.has(jti)
    state.seen.add(jti)
    const isFor = htm === request.method && htu === request.url.split('?')[0]
    const isOf = ath === createHash('sha256').update(token).digest('base64url')
    const isNow = Math.abs(Date.now() / 1000 - iat) < 24 * 3600 // the clocks of the tests are turned by hand
    if (!isNew || !isFor || !isOf || !isNow) return 'invalid_dpop_proof'
    const { jwk } = decodeProtectedHeader(text)
    return { jkt: await calculateJwkThumbprint(jwk ?? {}) }
  } catch {
    return 'invalid_dpop_proof' // jose has an error of its own for each thing that is wrong
  }
}
