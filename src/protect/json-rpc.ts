// The shape of a refusal in MCP: a JSON-RPC 2.0 error object as text, and the codes that we use.

/** The id of a request, as it came; null when there is none to name (JSON-RPC 2.0 §5). */
export type RequestId = string | number | null

/** The codes we answer with; the one that MCP reserves (-32020 to -32099) is sent as it defines it. */
export const rpcCodes = {
  parseError: -32700,
  invalidRequest: -32600,
  internal: -32603,
  failed: -32000,
  signInNeeded: -32001,
  tooManyRequests: -32002,
  invalidParams: -32602,
  /** MCP since 2026-07-28. */
  headerMismatch: -32020,
  /** MCP 2025-11-25 only. */
  urlElicitationRequired: -32042,
} as const

/** One error: `data.reason` is a stable word for programs, `message` is for people. */
export interface RpcError {
  readonly id?: RequestId
  readonly code: number
  readonly message: string
  readonly data: Readonly<Record<string, unknown>> & { readonly reason: string }
}

/** Writes an error response (JSON-RPC 2.0 §5.1). */
export function rpcErrorText({ id = null, code, message, data }: RpcError): string {
  return JSON.stringify({ jsonrpc: '2.0', id, error: { code, message, data } })
}
