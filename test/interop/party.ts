// A client that checks everything, as the tests here make one with oauth4webapi: from discovery to registration.
import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'
import type { Doors } from '../http/doors.ts'

export const overHttp = { [oauth.allowInsecureRequests]: true } as const // loopback only
export const redirectUri = 'http://127.0.0.1:34117/callback'

/** Who speaks with whom, and how it proves itself. */
export interface Party {
  readonly server: oauth.AuthorizationServer
  readonly client: oauth.Client
  readonly proof: oauth.ClientAuth
}

export type Method = 'none' | 'client_secret_basic' | 'client_secret_post'

/** What our authorization server says about itself, by either document. */
export async function discover(
  { origin }: Doors,
  algorithm: 'oauth2' | 'oidc' = 'oauth2',
): Promise<oauth.AuthorizationServer> {
  const issuer = new URL(origin)
  const answer = await oauth.discoveryRequest(issuer, { ...overHttp, algorithm })
  return oauth.processDiscoveryResponse(issuer, answer)
}

/** Registers a client that comes back to `redirectUri` with a code, unless it says otherwise. */
export async function registerParty(
  doors: Doors,
  method: Method,
  changes: Partial<oauth.Client> = {},
): Promise<Party> {
  const server = await discover(doors)
  const metadata = {
    client_name: 'A strict client',
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: method,
    ...changes,
  }
  const registered = await oauth.dynamicClientRegistrationRequest(server, metadata, overHttp)
  const client = await oauth.processDynamicClientRegistrationResponse(registered)
  return { server, client, proof: proofOf(client, method) }
}

function proofOf({ client_secret: secret }: oauth.Client, method: Method): oauth.ClientAuth {
  if (method === 'none') return oauth.None()
  assert.ok(typeof secret === 'string')
  return method === 'client_secret_basic'
    ? oauth.ClientSecretBasic(secret)
    : oauth.ClientSecretPost(secret)
}
