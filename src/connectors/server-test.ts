// Tries a server out as the caller: its tools, or why not. A failure is an answer here, not an error.
import { Fault, faultCatalogue, isFault } from '../base/fault.ts'
import type { FaultCode } from '../base/fault.ts'
import { actorOf } from '../people/principal.ts'
import type { Principal } from '../people/principal.ts'
import type { Transport } from '../upstream/mcp.ts'
import { decideAuth } from './decide-auth.ts'
import type { Discovered } from './decide-auth.ts'
import { createPresenter, showable } from './present.ts'
import { reach } from './reach.ts'
import type { Reach, ReachCaller } from './reach.ts'
import type { Server, ServerNeeds } from './server-rows.ts'
import { listTools, listToolsOverSse } from './tools.ts'
import type { Target, Tool } from './tools.ts'
import { noteTransport } from './transport.ts'

export type ServerTest =
  | { readonly ok: true; readonly toolCount: number; readonly tools: readonly Tool[] }
  | {
      readonly ok: false
      readonly error: FaultCode
      readonly words: string
      /** What is known of the way in, where the caller has not gone it yet. */
      readonly discovered?: Discovered
    }

/** Lists the server's tools; once more with a fresh token when the first one is refused. */
export async function testServer(
  needs: ServerNeeds,
  principal: Principal,
  server: Server,
): Promise<ServerTest> {
  const { tenant, user } = principal
  if (user === undefined)
    throw new Fault('forbidden', { because: 'nobody stands behind this token' })
  const caller = { tenant, user }
  const tested = await triedOut(needs, caller, server)
  await needs.db.transaction().execute((tx) =>
    needs.journal.record(tx, {
      tenantId: tenant.id,
      type: 'server.tested',
      actor: actorOf(principal),
      userId: user.id,
      subject: { kind: 'server', id: server.id },
      data: tested.ok
        ? { ok: true, toolCount: tested.toolCount }
        : { ok: false, error: tested.error },
    }),
  )
  return tested
}

async function triedOut(
  needs: ServerNeeds,
  caller: ReachCaller,
  server: Server,
): Promise<ServerTest> {
  try {
    const tools = await toolsFor(needs, caller, server, await reach(needs, caller, server))
    return { ok: true, toolCount: tools.length, tools }
  } catch (thrown) {
    if (!isFault(thrown)) throw thrown
    const isUnsigned = thrown.code === 'authorization_required'
    return isUnsigned ? lookAtSignIn(needs, caller, server, thrown) : failed(thrown)
  }
}

/** Nobody is signed in there, so what can be tried out is whether they could. */
async function lookAtSignIn(
  { upstream }: ServerNeeds,
  { tenant }: ReachCaller,
  server: Server,
  unsigned: Fault,
): Promise<ServerTest> {
  const { url, auth, issuer, clientId, grantType } = server
  const input = { auth, issuer, clientId, grantType }
  try {
    const discovered = await decideAuth(upstream, { tenant, url, input })
    return { ...failed(unsigned), discovered }
  } catch (thrown) {
    if (!isFault(thrown)) throw thrown
    return failed(thrown)
  }
}

async function toolsFor(
  needs: ServerNeeds,
  caller: ReachCaller,
  server: Server,
  way: Reach,
): Promise<readonly Tool[]> {
  try {
    return await listEitherWay(needs, server, way)
  } catch (thrown) {
    const isStale = isFault(thrown) && thrown.code === 'invalid_token' && way.kind === 'bearer'
    if (!isStale) throw thrown
    const again = await reach(needs, caller, server, { spent: way })
    return listEitherWay(needs, server, again)
  }
}

/**
 * MCP 2025-11-25, "Backwards Compatibility": where a POST brings no result, the older transport is tried. What answered is
 * kept, because calls of people go that way without a look.
 */
async function listEitherWay(
  needs: ServerNeeds,
  server: Server,
  way: Reach,
): Promise<readonly Tool[]> {
  const { url } = server
  try {
    const tools = await listTools(needs.outbound, targetFor(needs, url, way))
    await keepTransport(needs, server, 'streamable_http')
    return tools
  } catch (thrown) {
    if (!isFault(thrown) || !mayBeOlder.has(thrown.code)) throw thrown
    const tools = await listOverSse(needs, url, way)
    if (tools === undefined) throw thrown
    await keepTransport(needs, server, 'sse')
    return tools
  }
}

// A server of the older transport may say 401 to a POST at the address of its stream, whatever the token is.
const mayBeOlder = new Set<FaultCode>(['server_unreachable', 'invalid_token'])

/** Undefined for any trouble: what the newer transport said tells more. */
async function listOverSse(
  { outbound, upstream, log }: ServerNeeds,
  url: string,
  way: Reach,
): Promise<readonly Tool[] | undefined> {
  const { present } = createPresenter(upstream)
  const credential = showable(way)
  try {
    return await listToolsOverSse(outbound, { url, headers: (asked) => present(credential, asked) })
  } catch (thrown) {
    const because = isFault(thrown) ? thrown.because : 'it could not be asked'
    log.info({ because }, 'the older transport brought no tools either')
    return undefined
  }
}

async function keepTransport(
  needs: ServerNeeds,
  server: Server,
  transport: Transport,
): Promise<void> {
  if (server.transport !== transport) await noteTransport(needs, server, transport)
}

function targetFor({ upstream }: ServerNeeds, url: string, way: Reach): Target {
  const { present, heard } = createPresenter(upstream)
  const credential = showable(way)
  return {
    url,
    headers: () => present(credential, { method: 'POST', url }),
    wantsAgain: ({ status, headers }) => {
      const [challenge, nonce] = [headers.get('www-authenticate'), headers.get('dpop-nonce')]
      return heard(credential, url, { status, challenge, nonce })
    },
  }
}

const serverTrouble = new Set<FaultCode>(['network_error', 'timeout'])

function failed({ code, detail = {} }: Fault): ServerTest & { readonly ok: false } {
  const error = serverTrouble.has(code) ? 'server_unreachable' : code
  const words =
    error === 'invalid_token'
      ? 'The server refused our credential. Check the headers, or sign in again.'
      : [faultCatalogue[error].words, ...Object.values(detail)].join(' ')
  return { ok: false, error, words }
}
