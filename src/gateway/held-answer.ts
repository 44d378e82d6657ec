// The answers of a server that do not pass as they are: what it says about our credential, about its own limits, or in a
// form that is not MCP's, in words and codes of our own. What it says about scope is noted at the connection.
import type { IncomingHttpHeaders } from 'node:http'
import { Fault } from '../base/fault.ts'
import type { Bearer, Credential, Credentials } from '../connectors/credential.ts'
import type { Server } from '../connectors/servers.ts'
import { bearerChallenge } from '../oauth/challenge.ts'
import type { TokenPrincipal } from '../people/principal.ts'
import type { Answer, Connect } from './answers.ts'
import { emptyAnswer, faultAnswer, refusedUpstream, scopeRefused, slowDown } from './answers.ts'
import type { Call } from './calls.ts'
import { operationOf } from './calls.ts'
import type { Outcome } from './proxy.ts'

/** Whose call it was, and where to. */
export interface HeldCall {
  readonly principal: TokenPrincipal
  readonly server: Server
  readonly call: Call
  readonly method: 'GET' | 'POST' | 'DELETE'
}

interface Needs {
  readonly credentials: Credentials
  /** Asks the person to sign in, in the way that their client can show. */
  readonly askSignIn: (connect: Connect) => Answer
}

/** Our answer in place of the server's. */
export async function heldAnswer(
  needs: Needs,
  held: HeldCall,
  credential: Credential,
  { status, headers }: Extract<Outcome, { kind: 'held' }>,
): Promise<Answer> {
  const { call, method } = held
  if (credential.kind === 'bearer' && credential.isSignedIn) {
    if (status === 401) return connectFor(needs, held, credential, 'authorization_required')
    const scope = missingScope(status, headers)
    if (scope !== undefined) return lacking(needs, held, credential, scope)
  }
  if (status === 429) return slowDown(call, headers['retry-after'])
  const isOver = method === 'DELETE' || !call.wantsAnswer
  if (status < 300 && isOver) return emptyAnswer(status)
  // Our own token is good: a 401 of ours would send the client to sign-in for nothing.
  const isClientError = status >= 400 && status < 500 && status !== 401 && status !== 407
  if (isClientError) return refusedUpstream(call, status, headers.allow)
  const because = `the server answered ${status} in a form that does not pass`
  return faultAnswer(new Fault('server_unreachable', { because }), call)
}

/** What went through after a server had asked for more scope is refused no more. */
export async function notePassed(
  { credentials }: Pick<Needs, 'credentials'>,
  { principal, call }: Pick<HeldCall, 'principal' | 'call'>,
  credential: Credential,
  status: number,
): Promise<void> {
  if (credential.kind !== 'bearer' || credential.isSteppingUp !== true || status >= 400) return
  await credentials.noteSufficientScope(credential, principal.tenant, operationOf(call))
}

/** One more sign-in with the union of scopes, a few times; then only who gives access at the server can help. */
async function lacking(
  needs: Needs,
  held: HeldCall,
  credential: Bearer,
  scope: string,
): Promise<Answer> {
  const { principal, server, call } = held
  const refused = { operation: operationOf(call), scope }
  const stepUp = await needs.credentials.noteInsufficientScope(
    credential,
    principal.tenant,
    refused,
  )
  if (stepUp.kind === 'sign_in') return connectFor(needs, held, credential, 'scope_insufficient')
  return scopeRefused(call, { serverName: server.name, scopes: stepUp.scopes })
}

async function connectFor(
  { askSignIn, credentials }: Needs,
  held: HeldCall,
  used: Bearer,
  reason: 'authorization_required' | 'scope_insufficient',
): Promise<Answer> {
  const { principal, server } = held
  const { tenant } = principal
  const isShared = used.ownerId !== undefined
  // The sign-in of a shared connection is its owner's alone; what anybody can do is to connect an account of their own.
  const connectUrl = isShared
    ? `${tenant.issuer}/console/connections`
    : await credentials.signInUrl(used, principal, server)
  return askSignIn({ serverName: server.name, connectUrl, reason, isShared })
}

/** RFC 6750 §3.1: the scopes that the server says our token for the person lacks; undefined when it says nothing of it. */
function missingScope(status: number, headers: IncomingHttpHeaders): string | undefined {
  if (status !== 403) return undefined
  const challenge = bearerChallenge(headers['www-authenticate'] ?? null)
  return challenge?.error === 'insufficient_scope' ? (challenge.scope ?? '') : undefined
}
