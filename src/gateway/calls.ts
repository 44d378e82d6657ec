// What one MCP request asks for: its id, method and tool, read from the body; the arguments are nobody's business here.
import type { RequestId } from '../protect/index.ts'
import { isJsonObject } from './exact-json.ts'

/** One request as policy, journal and error answers see it. */
export interface Call {
  readonly id: RequestId
  /** The JSON-RPC method; `(response)`, `(batch)`, or the HTTP method where there is no body. */
  readonly method: string
  /** The name of the called tool, for `tools/call` only. */
  readonly tool?: string
  /** What `Mcp-Name` has to repeat (MCP 2026-07-28, "Standard Request Headers"). */
  readonly named?: string
  /** How many messages a batch has. */
  readonly messages?: number
  /** The names of all tools that a batch calls. */
  readonly batchedTools?: readonly string[]
  /** True when a call of a tool does not say which. */
  readonly hasUnnamedTool?: boolean
  /** False for what JSON-RPC never answers: notifications and responses. */
  readonly wantsAnswer: boolean
  /** The revision that the body claims (MCP 2026-07-28, `_meta`). */
  readonly claimedVersion?: string
  /** Can the client show a person a link that a server asks them to open? Absent where the message does not say. */
  readonly opensUrls?: boolean
  /** What a client brings back with the retry of a request (MCP 2026-07-28, "Multi Round-Trip Requests"). */
  readonly requestState?: string
}

/** A request without a body: opening or ending a session's stream. */
export function bodylessCall(httpMethod: string): Call {
  return { id: null, method: httpMethod, wantsAnswer: true }
}

/** Where a text of the client's does not look like a name. */
export const unnamed = '(unnamed)'
const namePattern = /^[\w()./-]{1,128}$/

/** The client chose this text: only what looks like a name is kept. */
export function nameOf(text: string): string {
  return namePattern.test(text) ? text : unnamed
}

/** What is done, as far as scopes are about it. */
export function operationOf({ method, tool }: Pick<Call, 'method' | 'tool'>): string {
  return tool === undefined ? nameOf(method) : `${nameOf(method)} ${nameOf(tool)}`
}

/** Reads a body; undefined when it is not a JSON-RPC message or a batch of them (JSON-RPC 2.0 §4, §6). */
export function readCall(body: string): Call | undefined {
  const message = parseJson(body)
  if (Array.isArray(message)) return readBatch(message)
  if (!isJsonObject(message)) return undefined
  const { id, method, params } = message
  if (typeof method !== 'string') return readResponse(message)
  const facts = paramsOf(method, isJsonObject(params) ? params : {})
  return { id: readId(id), method, wantsAnswer: id !== undefined, ...facts }
}

function readResponse(message: Record<string, unknown>): Call | undefined {
  if (!('result' in message) && !('error' in message)) return undefined
  return { id: null, method: '(response)', wantsAnswer: false }
}

function readBatch(messages: readonly unknown[]): Call | undefined {
  if (messages.length === 0 || !messages.every(isJsonObject)) return undefined
  const wantsAnswer = messages.some(({ id, method }) => id !== undefined && method !== undefined)
  const calls = messages.filter(({ method }) => method === callMethod).map(({ params }) => params)
  const names = calls.map((params) => (isJsonObject(params) ? params['name'] : undefined))
  const tools = names.filter((name) => typeof name === 'string')
  return {
    id: null,
    method: '(batch)',
    messages: messages.length,
    wantsAnswer,
    ...(tools.length === 0 ? {} : { batchedTools: tools }),
    ...(tools.length === names.length ? {} : { hasUnnamedTool: true }),
  }
}

/** The method that calls a tool. */
export const callMethod = 'tools/call'

/** The member that names what these are about. */
const nameSources: ReadonlyMap<string, string> = new Map([
  [callMethod, 'name'],
  ['prompts/get', 'name'],
  ['resources/read', 'uri'],
])

function paramsOf(method: string, params: Record<string, unknown>): Partial<Call> {
  const { name, _meta: meta, requestState } = params
  const version = isJsonObject(meta) ? meta['io.modelcontextprotocol/protocolVersion'] : undefined
  const isCall = method === callMethod
  const named = params[nameSources.get(method) ?? '']
  return {
    ...(isCall && typeof name === 'string' ? { tool: name } : {}),
    ...(typeof named === 'string' ? { named } : {}),
    ...(isCall && typeof name !== 'string' ? { hasUnnamedTool: true } : {}),
    ...(typeof version === 'string' ? { claimedVersion: version } : {}),
    ...(typeof requestState === 'string' ? { requestState } : {}),
    ...opensUrls(method, params),
  }
}

const capabilitiesKey = 'io.modelcontextprotocol/clientCapabilities'

/** Said once by `initialize` (MCP 2025-11-25), and by every request since 2026-07-28. */
function opensUrls(method: string, params: Record<string, unknown>): Pick<Call, 'opensUrls'> {
  const { capabilities, _meta: meta } = params
  const said = method === 'initialize' ? capabilities : isJsonObject(meta) && meta[capabilitiesKey]
  if (!isJsonObject(said)) return {}
  const { elicitation } = said
  return { opensUrls: isJsonObject(elicitation) && isJsonObject(elicitation['url']) }
}

function readId(id: unknown): RequestId {
  return typeof id === 'string' || typeof id === 'number' ? id : null
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // What is no JSON is no message; the caller says so to the client.
  }
}
