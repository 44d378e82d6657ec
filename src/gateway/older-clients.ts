// Clients of the revisions with sessions at a server that has none: the session is ours, and each request is asked of the
// server in its own words (MCP 2026-07-28, "Backward Compatibility"). Nothing else is changed, neither names nor results.
import type { IncomingMessage } from 'node:http'
import { Server as McpServer } from '@modelcontextprotocol/server'
import type { Log } from '../base/log.ts'
import type { Message } from '../connectors/post-message.ts'
import type { TokenPrincipal } from '../people/principal.ts'
import type { Connect } from './answers.ts'
import { rpcAnswer, unknownSession, wrongMethod } from './answers.ts'
import { isJsonObject } from './exact-json.ts'
import { sessionHeader } from './headers.ts'
import { createMcpEndpoint, handle } from './mcp-endpoint.ts'
import { overhearWeb } from './overhear.ts'
import type { OwnSessions } from './own-sessions.ts'
import { askPatiently } from './patience.ts'
import { clientLeft } from './proxy.ts'
import { errorFor, errorIn, resultOf } from './rpc-replies.ts'
import type { Ending, VerifiedCall } from './server-call.ts'
import { sessionIsOurs } from './sessions.ts'
import type { AskSignIn } from './sign-in-ask.ts'
import type { AskServer, Reply, UpstreamCall } from './upstream-call.ts'
import { sendWeb, whenLeft } from './web-answer.ts'

export interface OlderClients {
  /** Does this request belong to a session of ours? It says so itself; whose it is, is asked later. */
  readonly isOurs: (request: Pick<IncomingMessage, 'headers'>) => boolean
  /** Serves a verified call whose policy has agreed. */
  readonly serve: (verified: VerifiedCall) => Promise<Ending>
  readonly close: () => Promise<void>
}

interface Needs {
  readonly askServer: AskServer
  readonly askSignIn: AskSignIn
  readonly ownSessions: OwnSessions
  readonly answerTimeMs: number
  readonly log: Log
}

interface Visit {
  readonly verified: VerifiedCall
  readonly principal: TokenPrincipal
  readonly signal: AbortSignal
  readonly notified?: ((message: Message) => void) | undefined
  /** What the server says of itself, where that is asked. */
  readonly about: About
}

/** Makes what serves them. */
export function createOlderClients(needs: Needs): OlderClients {
  const endpoint = createMcpEndpoint(needs.log, (visit: Visit) => serverFor(needs, visit))

  const answer = async (verified: VerifiedCall, signal: AbortSignal): Promise<Ending> => {
    const { request, response, principal, call } = verified
    const isHello = call.method === 'initialize'
    const about = isHello ? await aboutServer(needs, verified, signal) : all
    if ('kind' in about) return about
    const asked = new Request(`http://localhost${request.url ?? '/'}`, {
      method: 'POST',
      headers: fieldsOf(request),
      signal,
    })
    const visit = { verified, principal, signal, about }
    const answered = await endpoint.answer(asked, visit, messageOf(verified))
    const web = await overhearWeb(answered, verified.overheard)
    const begun = isHello && web.status === 200 ? sessionFor(needs, verified) : {}
    await sendWeb(response, web, { ...begun, 'cache-control': 'no-store' })
    return signal.aborted ? clientLeft(web.status) : { kind: 'passed', status: web.status }
  }

  return {
    isOurs: ({ headers }) => sessionIsOurs(headers[sessionHeader]),
    close: endpoint.close,
    serve: async (verified) => {
      const { request, response, method, call, principal, server } = verified
      if (method !== 'POST') return { kind: 'answer', answer: wrongMethod('POST') }
      const id = request.headers[sessionHeader]
      const isTheirs =
        typeof id === 'string' && needs.ownSessions.isTheirs({ principal, serverId: server.id }, id)
      if (!isTheirs && call.method !== 'initialize') {
        return { kind: 'answer', answer: unknownSession(call) }
      }
      const sessionId = isTheirs ? id : undefined
      if (sessionId !== undefined) needs.ownSessions.heed(sessionId, messageOf(verified))
      const running = needs.ownSessions.running(sessionId, call)
      const left = whenLeft(response)
      const signal = AbortSignal.any(running === undefined ? [left] : [left, running.signal])
      try {
        return await answer(verified, signal)
      } finally {
        running?.end()
      }
    },
  }
}

function messageOf({ body }: VerifiedCall): unknown {
  return JSON.parse(body?.toString() ?? 'null') // readCall() has read it
}

function fieldsOf({ headers }: IncomingMessage): Record<string, string> {
  const { accept = '', 'mcp-protocol-version': version } = headers
  const said = typeof version === 'string' ? { 'mcp-protocol-version': version } : {}
  return { accept, 'content-type': 'application/json', ...said }
}

function sessionFor({ ownSessions }: Needs, { principal, server, call }: VerifiedCall) {
  const facts = { opensUrls: call.opensUrls === true, isOurs: true }
  return { [sessionHeader]: ownSessions.begin({ principal, serverId: server.id }, facts) }
}

interface About {
  readonly identity: { readonly name: string; readonly version: string }
  readonly capabilities: Readonly<Record<string, object>>
  readonly instructions?: string
}

/** Where one request is answered and no session begins, what the server can is its own business. */
const all: About = {
  identity: { name: 'latchkey', version: '0.1.0' },
  capabilities: { tools: {}, prompts: {}, resources: {}, completions: {} },
}

/** What is offered in its name: not what needs a stream that outlives a request. */
async function aboutServer(
  needs: Needs,
  verified: VerifiedCall,
  signal: AbortSignal,
): Promise<About | Ending> {
  const { server, call } = verified
  const reply = await ask(needs, { verified, signal }, { method: 'server/discover', params: {} })
  if (reply.kind !== 'result') {
    const { code, message, data } = reply.kind === 'error' ? reply.error : errorIn(reply.answer)
    const said = isJsonObject(data) ? data : {}
    const error = { id: call.id, code, message, data: { reason: 'server_error', ...said } }
    return { kind: 'answer', answer: rpcAnswer(200, error) }
  }
  const { capabilities, instructions, _meta: meta } = reply.result
  const said = isJsonObject(meta) ? meta['io.modelcontextprotocol/serverInfo'] : undefined
  const { name = server.name, version = '0' } = isJsonObject(said) ? said : {}
  const has = isJsonObject(capabilities) ? capabilities : {}
  return {
    identity: { name: String(name), version: String(version) },
    capabilities: Object.fromEntries(
      Object.keys(all.capabilities).flatMap((one) => (one in has ? [[one, {}]] : [])),
    ),
    ...(typeof instructions === 'string' ? { instructions } : {}),
  }
}

/** What a client may ask by each capability. */
const methodsOf: Readonly<Record<string, readonly string[]>> = {
  tools: ['tools/list', 'tools/call'],
  prompts: ['prompts/list', 'prompts/get'],
  resources: ['resources/list', 'resources/templates/list', 'resources/read'],
  completions: ['completion/complete'],
}

function serverFor(needs: Needs, visit: Visit): McpServer {
  const { identity, capabilities, instructions } = visit.about
  const options = { capabilities, ...(instructions === undefined ? {} : { instructions }) }
  const server = new McpServer(identity, options)
  for (const method of Object.keys(capabilities).flatMap((one) => methodsOf[one] ?? [])) {
    handle({ server, log: needs.log, visit }, method, async (params, here) => {
      const reply = await ask(needs, here, { method, params })
      if (reply.kind !== 'result') throw errorFor(reply)
      const elsewhere = 'This needs an answer that only a client of MCP 2026-07-28 can give.'
      return offered(visit, method, resultOf(reply.result, elsewhere))
    })
  }
  return server
}

/** A list of tools without those that are not for the caller. */
function offered({ verified: { isOffered } }: Visit, method: string, result: Message): Message {
  const { tools } = result
  if (method !== 'tools/list' || isOffered === undefined || !Array.isArray(tools)) return result
  const isOpen = (tool: unknown) => isJsonObject(tool) && isOffered(String(tool['name']), tool)
  return { ...result, tools: tools.filter(isOpen) }
}

function ask(
  { askServer, askSignIn, answerTimeMs }: Needs,
  { verified, signal, notified }: Pick<Visit, 'verified' | 'signal' | 'notified'>,
  question: Pick<UpstreamCall, 'method' | 'params'>,
): Promise<Reply> {
  const { server, principal } = verified
  return askPatiently(askServer, answerTimeMs, {
    ...question,
    server,
    principal,
    signal,
    notified,
    askSignIn: (connect: Connect) => askSignIn(verified, connect),
    ...(verified.overheard === undefined ? {} : { hide: verified.overheard.hide }),
  })
}
