// Where the policy of a server opens only tools that change nothing: what a tool says of itself has to be known before it is
// called. It is asked for as the caller, kept for a moment, and what is not known counts as writing.
import { Fault } from '../base/fault.ts'
import type { Server } from '../connectors/servers.ts'
import type { TokenPrincipal } from '../people/principal.ts'
import type { Answer } from './answers.ts'
import { faultAnswer } from './answers.ts'
import type { Call } from './calls.ts'
import { createPatience } from './patience.ts'
import { saysReadOnly, toolsOf } from './policy.ts'
import type { Policy } from './policy.ts'
import type { MissingReply, ServerLists } from './server-lists.ts'

/** Our answer where it could not be asked. Throws Fault('forbidden') for a tool that may write, or that is not known. */
export type RequireReading = (caller: ReadingCaller, call: Call) => Promise<Answer | undefined>

export interface ReadingCaller {
  readonly server: Server
  readonly principal: TokenPrincipal
  readonly policy: Pick<Policy, 'isReadOnly'>
}

interface Needs {
  readonly lists: Pick<ServerLists, 'recall'>
  readonly listTimeMs: number
}

const never = new AbortController().signal

/** Makes the check. */
export function createReadingOnly({ lists, listTimeMs }: Needs): RequireReading {
  return async ({ server, principal, policy }, call) => {
    const tools = toolsOf(call)
    if (policy.isReadOnly !== true || tools.length === 0) return undefined
    const patience = createPatience(listTimeMs, never)
    try {
      const asker = { server, principal, signal: patience.signal }
      const listed = await patience.within(lists.recall('tools', asker))
      if (listed.kind === 'missing') return insteadOf(call, listed.reply)
      const reading = new Set(listed.items.filter(saysReadOnly).map(({ name }) => name))
      if (tools.every((tool) => reading.has(tool))) return undefined
      throw new Fault('forbidden', { because: 'the policy of the server opens reading tools only' })
    } finally {
      patience.end()
    }
  }
}

/** Why the list could not be asked for is why the call cannot be made: the person is not connected, say. */
function insteadOf(call: Call, reply: MissingReply): Answer {
  if (reply.kind === 'error') {
    const because = `the server gave no list of its tools (${reply.error.code})`
    return faultAnswer(new Fault('server_unreachable', { because }), call)
  }
  const { answer } = reply
  const said = JSON.parse(answer.body) as Record<string, unknown> // rpcErrorText() wrote it
  return { ...answer, body: JSON.stringify({ ...said, id: call.id }) }
}
