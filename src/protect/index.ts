// `latchkey/protect`: what an MCP server needs to take the tokens of an authorization server, ours or another. Loads nothing
// but `jose`, and that only where tokens are read.
export type { PresentedToken } from '../oauth/dpop.ts'
export type { AuthInfo } from './auth-info.ts'
export { authInfoOf, tokenVerifier } from './auth-info.ts'
export type { Caller } from './caller.ts'
export type { GuardedRequest, Scheme } from './credentials.ts'
export { forFetch } from './for-fetch.ts'
export type { FetchGuard } from './for-fetch.ts'
export { forHono } from './for-hono.ts'
export { forNode } from './for-node.ts'
export type { NodeGuard } from './for-node.ts'
export { getScopes, getScopesMatching, hasAllScopes, hasAnyScope, hasScope } from './has-scopes.ts'
export { introspection } from './introspection.ts'
export type { IntrospectionSettings } from './introspection.ts'
export { rpcCodes, rpcErrorText } from './json-rpc.ts'
export type { RequestId, RpcError } from './json-rpc.ts'
export { jwks } from './jwks.ts'
export type { JwksSettings } from './jwks.ts'
export type { DpopSettings } from './presented.ts'
export { protectMcpServer } from './protect-mcp-server.ts'
export type {
  Protection,
  ProtectSettings,
  Refusal,
  Verdict,
  Verified,
  Verify,
} from './protect-mcp-server.ts'
export type { ToolScopes } from './tool-scopes.ts'
