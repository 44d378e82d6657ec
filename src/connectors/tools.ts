// Asks an MCP server for its tools, in whichever era it lives: first with a request that stands alone (2026-07-28), else
// in a session (2025-11-25 and before). For looking at a server; calls of people go through the gateway.
import { Fault } from '../base/fault.ts'
import type { Outbound, OutboundResponse } from '../base/outbound.ts'
import type { Secret } from '../base/secret.ts'
import {
  initializeRequest,
  sessionMessage,
  sessionVersion,
  statelessRequest,
} from '../upstream/mcp.ts'
import type { McpRequest } from '../upstream/mcp.ts'
import { askOverSse } from './sse-session.ts'
import type { SseTarget } from './sse-session.ts'

export interface Tool {
  readonly name: string
  readonly description?: string
  readonly annotations?: ToolHints
}

/** What a tool says of itself, which nobody has checked (MCP, `ToolAnnotations`). */
export interface ToolHints {
  readonly readOnlyHint?: boolean
  readonly destructiveHint?: boolean
}

/** Where, and how our credential is shown there. */
export interface Target {
  readonly url: string
  /** Asked for anew for every request. */
  readonly headers: () => Readonly<Record<string, Secret>>
  /** Says whether a request is to be sent again, because of what its answer says. */
  readonly wantsAgain: (response: OutboundResponse) => boolean
}

const pagesMax = 20
const toolsMax = 1000
const answerBytes = 4_194_304
const deadlineMs = 20_000
const descriptionCharsMax = 2000

/** The server's tools. Throws Fault('invalid_token') after a 401, Fault('server_unreachable') for all else that fails. */
export async function listTools(outbound: Outbound, target: Target): Promise<readonly Tool[]> {
  const once = (request: McpRequest) =>
    outbound.fetch({
      url: target.url,
      ...request,
      headers: { ...request.headers, ...target.headers() },
      purpose: 'tools',
      limits: { bytes: answerBytes, timeMs: deadlineMs },
    })
  const ask = async (request: McpRequest) => {
    const first = await once(request)
    const response = target.wantsAgain(first) ? await once(request) : first
    if (response.status === 401)
      throw new Fault('invalid_token', { because: 'the server said 401' })
    return response
  }

  const first = await ask(statelessRequest('tools/list'))
  const result = resultOf(first)
  if (result !== undefined) {
    return collect(result, async (cursor) =>
      wantResult(await ask(statelessRequest('tools/list', { cursor }))),
    )
  }
  return listInSession(ask)
}

/** The same from a server that speaks only the older HTTP+SSE (MCP 2024-11-05), each page in a session of its own. */
export async function listToolsOverSse(
  outbound: Outbound,
  target: SseTarget,
): Promise<readonly Tool[]> {
  const signal = AbortSignal.timeout(deadlineMs)
  const page = async (params: Readonly<Record<string, unknown>>) => {
    const asked = { id: 2, method: 'tools/list' }
    const body = JSON.stringify({ jsonrpc: '2.0', ...asked, params })
    const outcome = await askOverSse({ outbound, signal }, target, { ...asked, body })
    if (outcome.kind === 'answer') {
      return asRecord(asRecord(parse(outcome.text))?.['result']) ?? unusable({ status: 200 })
    }
    if (outcome.kind === 'other_transport') return unusable({ status: 404 })
    if (outcome.status === 401) throw new Fault('invalid_token', { because: 'the server said 401' })
    return unusable(outcome)
  }
  return collect(await page({}), (cursor) => page({ cursor }))
}

type Ask = (request: McpRequest) => Promise<OutboundResponse>

async function listInSession(ask: Ask): Promise<readonly Tool[]> {
  const hello = await ask(initializeRequest())
  const agreed = wantResult(hello)
  const session = {
    id: hello.headers.get('mcp-session-id') ?? undefined,
    version: textOf(agreed['protocolVersion']) ?? sessionVersion,
  }
  await ask(sessionMessage({ method: 'notifications/initialized' }, session))
  const page = async (params: Record<string, unknown>) =>
    wantResult(await ask(sessionMessage({ id: 1, method: 'tools/list', params }, session)))
  return collect(await page({}), (cursor) => page({ cursor }))
}

async function collect(
  first: Result,
  next: (cursor: string) => Promise<Result>,
): Promise<readonly Tool[]> {
  const tools = [...toolsOf(first)]
  let cursor = textOf(first['nextCursor'])
  for (let pages = 1; cursor !== undefined && pages < pagesMax; pages += 1) {
    const result = await next(cursor)
    tools.push(...toolsOf(result))
    cursor = textOf(result['nextCursor'])
  }
  return tools.slice(0, toolsMax)
}

type Result = Readonly<Record<string, unknown>>

function wantResult(response: OutboundResponse): Result {
  return resultOf(response) ?? unusable(response)
}

/** The result of the one JSON-RPC answer in a response, JSON or event stream; undefined for an error or anything else. */
function resultOf(response: OutboundResponse): Result | undefined {
  if (response.status !== 200) return undefined
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') ?? false
  const messages = isStream ? eventsOf(response.text) : [response.text]
  for (const text of messages) {
    const result = asRecord(asRecord(parse(text))?.['result'])
    if (result !== undefined) return result
  }
  return undefined
}

/** The data of each event (HTML, "Server-sent events"). */
function eventsOf(text: string): readonly string[] {
  return text.split(/\r\n\r\n|\n\n|\r\r/).map((event) =>
    event
      .split(/\r\n|\n|\r/)
      .filter((line) => line.startsWith('data:'))
      .map((line) => line.slice('data:'.length).trimStart())
      .join('\n'),
  )
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // what is no JSON is no answer
  }
}

function toolsOf(result: Result): readonly Tool[] {
  const listed = result['tools']
  if (!Array.isArray(listed)) return []
  return listed.flatMap((item: unknown): Tool[] => {
    const tool = asRecord(item)
    const name = textOf(tool?.['name'])
    const description = textOf(tool?.['description'])?.slice(0, descriptionCharsMax)
    if (name === undefined) return []
    return [
      {
        name,
        ...(description === undefined ? {} : { description }),
        ...hintsOf(asRecord(tool?.['annotations'])),
      },
    ]
  })
}

const hintNames = ['readOnlyHint', 'destructiveHint'] as const

function hintsOf(annotations: Result | undefined): Pick<Tool, 'annotations'> {
  const said = hintNames
    .map((name) => [name, annotations?.[name]] as const)
    .filter(([, hint]) => typeof hint === 'boolean')
  return said.length === 0 ? {} : { annotations: Object.fromEntries(said) }
}

function asRecord(value: unknown): Result | undefined {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  return isObject ? (value as Result) : undefined // an object that is no list has string keys
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function unusable({ status }: Pick<OutboundResponse, 'status'>): never {
  throw new Fault('server_unreachable', {
    because: `the server answered ${status} without a result`,
  })
}
