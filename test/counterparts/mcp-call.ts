// What the tests' MCP servers of either transport share: who may call, and the record of a call.
import type { AuthInfo } from '@modelcontextprotocol/server'

/** One HTTP request that reached the MCP server, refused ones included. */
export interface McpCall {
  readonly httpMethod: string
  readonly path: string
  /** The JSON-RPC method, undefined for GET, DELETE and discovery. */
  readonly method: string | undefined
  readonly tool: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly status: number
}

/** Lets a request in, with who calls, or answers it. */
export type Guard = (request: Request) => Promise<AuthInfo | undefined | Response>
