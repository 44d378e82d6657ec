// A connection at the Latchkey under test, over its REST API: as the person who is signed in in a browser, and as a back
// end with an API key that is given live tokens.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Fault, faultCatalogue } from '../../src/base/fault.ts'
import type { FaultCode } from '../../src/base/fault.ts'
import type { Scenario } from './scenario.ts'

export interface Connection {
  /** Where an MCP client reaches the server through Latchkey. */
  readonly gatewayUrl: string
  /** Signs in, in full; false when Latchkey says that this is not needed. Throws the Fault that ended it. */
  readonly signIn: (additionalScopes?: string) => Promise<boolean>
  /** The live token, asked for anew each time. */
  readonly token: () => Promise<string>
  /** Has Latchkey try the token that the server refused. */
  readonly reportRefusal: () => Promise<void>
}

/** Where Latchkey is, and who asks: handed from the runner to its drivers by environment. */
export interface Access {
  readonly origin: string
  /** The signed-in browser's cookies. */
  readonly cookie: string
  readonly apiKey: string
  /** Where Latchkey finds what its platform says of it. */
  readonly workloadFolder: string
  /** Keeps the servers of one run of the suite apart from those of another. */
  readonly run: string
}

const accessVariable = 'CONFORMANCE_ACCESS'

/** The environment that gives a driver its access. */
export function environmentOf(access: Access): Readonly<Record<string, string>> {
  return { [accessVariable]: JSON.stringify(access) }
}

/** Adds the scenario's server and a connection to it. Throws the Fault that discovery ended with. */
export async function connectionTo(scenario: Scenario): Promise<Connection> {
  const access = readAccess()
  const asPerson = restOf(access, { cookie: access.cookie })
  const asBackEnd = restOf(access, { authorization: `Bearer ${access.apiKey}` })
  const { valid_jwt: workloadToken, idp_id_token: idToken } = scenario.context
  if (workloadToken !== undefined) writeFileSync(workloadFileOf(access), workloadToken)
  if (idToken !== undefined) await asBackEnd('POST', '/identity-tokens', { idToken })
  const server = await asPerson<{ id: string; slug: string }>(
    'POST',
    '/servers',
    describe(scenario, access),
  )
  const { id } = await asPerson<{ id: string }>('POST', '/connections', { serverId: server.id })
  return {
    gatewayUrl: `${access.origin}/${server.slug}/mcp`,
    signIn: (additionalScopes) => signIn(access, id, additionalScopes),
    token: async () => {
      const given = await asBackEnd<{ accessToken: string }>('POST', `/connections/${id}/token`)
      return given.accessToken
    },
    reportRefusal: () => asPerson('POST', `/servers/${server.id}/test`),
  }
}

const workloadName = 'conformance'

function workloadFileOf({ workloadFolder }: Access): string {
  return join(workloadFolder, workloadName)
}

function readAccess(): Access {
  const text = process.env[accessVariable]
  if (text === undefined) throw new Error('only the runner starts this')
  return JSON.parse(text) as Access // environmentOf() wrote it
}

const slugCharsMax = 36

function describe(scenario: Scenario, { run }: Access) {
  const { name, url, context } = scenario
  return {
    url,
    name,
    slug: `${run}-${name.replace('auth/', '')}`.slice(0, slugCharsMax),
    // What the suite has registered for us before; without a value JSON leaves it out.
    clientId: context.client_id ?? knownDocuments[name],
    clientSecret: context.client_secret,
    clientKey: context.private_key_pem,
    ...grantOf(scenario),
  }
}

/** The suite knows us by a document that it never reads, at an address that is not ours. */
const knownDocuments: Readonly<Record<string, string>> = {
  'auth/basic-cimd': 'https://conformance-test.local/client-metadata.json',
}

/** Where nobody signs in. */
function grantOf({ name, context }: Scenario) {
  if (name.startsWith('auth/client-credentials-')) return { grantType: 'client_credentials' }
  if (context.valid_jwt !== undefined) {
    return { grantType: 'jwt_bearer', workloadToken: workloadName }
  }
  const { idp_issuer: issuer, idp_token_endpoint: tokenEndpoint, idp_client_id: clientId } = context
  if (issuer === undefined) return {}
  return { grantType: 'id_jag', identityProvider: { issuer, tokenEndpoint, clientId } }
}

interface Begun {
  readonly authorizeUrl: string
  readonly flowId: string
}

interface Flow {
  readonly status: string
  readonly error?: FaultCode
}

async function signIn(
  access: Access,
  id: string,
  additionalScopes: string | undefined,
): Promise<boolean> {
  const rest = restOf(access, { cookie: access.cookie })
  const wish = additionalScopes === undefined ? {} : { additionalScopes }
  const begun = await rest<Begun | { alreadyAuthorized: true }>(
    'POST',
    `/connections/${id}/authorize`,
    wish,
  )
  if ('alreadyAuthorized' in begun) return false
  await playBrowser(access, begun.authorizeUrl)
  const flow = await rest<Flow>('GET', `/flows/${begun.flowId}`)
  if (flow.status === 'completed') return true
  throw new Fault(flow.error ?? 'internal', { because: `the sign-in ended as ${flow.status}` })
}

/** The suite's authorization server approves at once: two redirects, the second one back to Latchkey. */
async function playBrowser({ origin, cookie }: Access, authorizeUrl: string): Promise<void> {
  const approved = await fetch(authorizeUrl, { redirect: 'manual' })
  const callback = approved.headers.get('location') ?? ''
  if (!callback.startsWith(`${origin}/`)) {
    throw new Error(`the authorization server answered ${approved.status} to ${authorizeUrl}`)
  }
  await fetch(callback, { redirect: 'manual', headers: { cookie } })
}

function restOf({ origin }: Access, identity: Readonly<Record<string, string>>) {
  return async <T>(method: 'GET' | 'POST', path: string, body?: unknown): Promise<T> => {
    const answer = await fetch(`${origin}/api/v1${path}`, {
      method,
      headers: { ...identity, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const json: unknown = await answer.json()
    if (answer.ok) return json as T // each caller names the shape of its row
    throw faultOf(json)
  }
}

/** RFC 9457: a refusal carries the code of the Fault that it was. */
function faultOf(problem: unknown): Error {
  const { code, title } = problem as { code?: string; title?: string } // looked at before it is used
  if (code === undefined || !Object.hasOwn(faultCatalogue, code)) {
    return new Error(`an answer without a code: ${JSON.stringify(problem)}`)
  }
  return new Fault(code as FaultCode, { because: title ?? code }) // the catalogue has just shown it
}
