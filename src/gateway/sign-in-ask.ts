// Asks a person to sign in at a server in the middle of a call, in the way that their client can show: as URL elicitation
// of either era (MCP 2025-11-25 and 2026-07-28, "URL Mode"), else as a link in the error. The link is our own page, which
// opens for that person alone, and holds nothing secret.
import type { IncomingMessage } from 'node:http'
import { randomId } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import { rpcCodes } from '../protect/index.ts'
import type { Answer, Connect } from './answers.ts'
import { connectAnswer, connectWords, resultAnswer, rpcAnswer } from './answers.ts'
import type { Call } from './calls.ts'
import type { Era } from './eras.ts'
import { sessionHeader } from './headers.ts'
import { inputKey } from './request-state.ts'
import type { RequestStates, StateOwner } from './request-state.ts'
import { sessionOpensUrls } from './sessions.ts'

/** A call that cannot go on without a sign-in. */
export interface WaitingCall extends StateOwner {
  readonly request: Pick<IncomingMessage, 'headers'>
  readonly call: Call
  readonly era: Era
  readonly body: Buffer | undefined
  /** The person was asked by this very call, and would rather not. */
  readonly isDeclined?: boolean
}

/** Our answer to it. */
export type AskSignIn = (waiting: WaitingCall, connect: Connect) => Answer

interface Needs {
  readonly states: RequestStates
  readonly random: Random
}

/** Makes the asking. */
export function createSignInAsk(needs: Needs): AskSignIn {
  return (waiting, connect) => {
    const link = connectAnswer(waiting.call, connect)
    // A batch, a notification, a stream: there is no one request that could be answered by a question.
    if (waiting.call.id === null || !waiting.call.wantsAnswer) return link
    const question = waiting.era === 'modern' ? askForInput : askByError
    return question(needs, waiting, connect) ?? link
  }
}

/** MCP 2026-07-28, "Supported Requests": no other request may be answered so. */
const mayAskForInput = new Set(['tools/call', 'prompts/get', 'resources/read'])

function askForInput(
  { states }: Needs,
  waiting: WaitingCall,
  { serverName, connectUrl, reason, isShared }: Connect,
): Answer | undefined {
  const { call, body, isDeclined = false } = waiting
  const isPossible = call.opensUrls === true && mayAskForInput.has(call.method) && !isDeclined
  const requestState = isPossible && body !== undefined ? states.seal(waiting, body) : undefined
  if (requestState === undefined) return undefined
  const message = connectWords({ serverName, reason, isShared })
  const params = { mode: 'url', message, url: connectUrl }
  const inputRequests = { [inputKey]: { method: 'elicitation/create', params } }
  const result = { resultType: 'input_required', inputRequests, requestState }
  return { ...resultAnswer(call.id, result), reason }
}

/** MCP 2025-11-25, "URL Elicitation Required Error"; the client declared that it can when the session began. */
function askByError(
  { random }: Needs,
  { request, call }: WaitingCall,
  { serverName, connectUrl, reason, isShared }: Connect,
): Answer | undefined {
  const isKept = sessionOpensUrls(request.headers[sessionHeader])
  const isPossible = call.method === 'initialize' ? call.opensUrls : isKept
  if (isPossible !== true) return undefined
  const message = connectWords({ serverName, reason, isShared })
  const elicitationId = randomId(random, 'eli_')
  const elicitations = [{ mode: 'url', elicitationId, url: connectUrl, message }]
  return rpcAnswer(200, {
    id: call.id,
    code: rpcCodes.urlElicitationRequired,
    message: `${message}: ${connectUrl}`,
    data: { reason, connectUrl, elicitations },
  })
}
