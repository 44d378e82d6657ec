// What a client that was just made needs to know, by how it gets in: what a person pastes into a program that asks for it,
// or the requests of one that gets in without a browser. A secret stands in no command: others on the machine see those.
import type { ClientWithSecret } from '../issuer/client-administration.ts'
import { deviceCodeGrant } from '../issuer/metadata.ts'
import { toolsScope } from '../issuer/scopes.ts'
import type { Tenant } from '../people/tenants.ts'
import { table } from './terminal.ts'

/** A client with its secret in the open, for an answer that is given once. */
export function reveal({ client, secret }: ClientWithSecret) {
  return { ...client, ...(secret === undefined ? {} : { clientSecret: secret.reveal() }) }
}

type Revealed = ReturnType<typeof reveal>

/** For a program that people connect, for one that gets in by itself, or for one that does both. */
export type Guide =
  | { readonly connector: Connector; readonly program?: ProgramGuide }
  | { readonly connector?: undefined; readonly program: ProgramGuide }

type Connector = ReturnType<typeof connectorOf>

interface ProgramGuide {
  readonly tokenUrl: string
  readonly steps: readonly Step[]
}

interface Step {
  readonly words: string
  readonly command?: string
}

/** What this client needs. */
export function guideFor({ issuer }: Tenant, client: Revealed): Guide {
  const program = { tokenUrl: tokenUrlOf(issuer), steps: stepsOf(issuer, client) }
  if (!client.grantTypes.includes('authorization_code')) return { program }
  const connector = connectorOf(issuer, client)
  return program.steps.length === 0 ? { connector } : { connector, program }
}

/** The fields of a connector as Claude.ai and its kin ask for them. */
function connectorOf(issuer: string, client: Revealed) {
  return {
    name: client.name,
    serverUrl: `${issuer}/mcp`,
    authorizationUrl: `${issuer}/oauth/authorize`,
    tokenUrl: tokenUrlOf(issuer),
    clientId: client.id,
    clientSecret: client.clientSecret,
    scopes: client.scopes.length === 0 ? toolsScope : client.scopes.join(' '),
    apiBaseUrl: issuer,
    authentication: 'OAuth 2.0',
  }
}

function tokenUrlOf(issuer: string): string {
  return `${issuer}/oauth/token`
}

const secretVariable = 'LATCHKEY_CLIENT_SECRET'

/** The requests of a client that gets in without a browser of its own, in their order. */
function stepsOf(issuer: string, client: Revealed): readonly Step[] {
  const requests = [...machineSteps(issuer, client), ...deviceSteps(issuer, client)]
  if (requests.length === 0) return []
  if (client.dpopBoundAccessTokens) {
    return [{ words: 'Each of its requests carries a proof of its key (RFC 9449).' }]
  }
  if (client.clientSecret === undefined) return requests
  const words = 'Put the secret into a variable, so that it stands in no command:'
  const command = `stty -echo; read -r ${secretVariable}; stty echo`
  return [{ words, command }, ...requests]
}

/** RFC 6749 §4.4. */
function machineSteps(issuer: string, client: Revealed): readonly Step[] {
  if (!client.grantTypes.includes('client_credentials')) return []
  const command = `${ask(client, tokenUrlOf(issuer))} -d grant_type=client_credentials`
  return [{ words: 'It gets a token by itself:', command }]
}

/** RFC 8628 §3.1 and §3.4. */
function deviceSteps(issuer: string, client: Revealed): readonly Step[] {
  if (!client.grantTypes.includes(deviceCodeGrant)) return []
  // The empty part makes it a form where nothing else is sent.
  const begin = `${ask(client, `${issuer}/oauth/device_authorization`)} -d ''`
  const token = ask(client, tokenUrlOf(issuer))
  return [
    { words: 'It begins, and shows the user_code that comes back:', command: begin },
    { words: `A person opens ${issuer}/device and types that code.` },
    {
      words:
        'It asks with the device_code until there is a token; at authorization_pending again after the interval:',
      command: `${token} -d grant_type=${deviceCodeGrant} -d device_code="$device_code"`,
    },
  ]
}

/** A request as this client (RFC 6749 §2.3.1); what curl is told in its input shows in no list of processes. */
function ask({ id, authMethod }: Revealed, url: string): string {
  const told = `${id} "$${secretVariable}" | curl -s -K - ${url}`
  if (authMethod === 'client_secret_basic') return `printf 'user = "%s:%s"' ${told}`
  if (authMethod === 'client_secret_post') {
    return `printf 'data = "client_id=%s&client_secret=%s"' ${told}`
  }
  return `curl -s ${url} -d client_id=${id}`
}

/** The same for a person. The secret stands there once. */
export function describe(client: Revealed, guide: Guide): string {
  const what =
    guide.connector === undefined
      ? 'It gets in without a browser of its own:'
      : 'To paste into Claude.ai (Settings, Connectors, Add custom connector):'
  const rows =
    guide.connector === undefined
      ? programRows(client, guide.program)
      : connectorRows(guide.connector)
  const lines = table(rows.map(([label, value]) => ['', `${label}:`, value]))
  const once = client.clientSecret === undefined ? [] : ['The secret is shown only this once.']
  const steps = (guide.program?.steps ?? []).map(({ words, command }) =>
    command === undefined ? words : `${words}\n\n  ${command}`,
  )
  return [`${client.name} is made. ${what}`, lines, ...once, ...steps].join('\n\n')
}

type Rows = readonly (readonly [label: string, value: string])[]

const noSecret = '(none: this client is public)'

function connectorRows(connector: Connector): Rows {
  return [
    ['Name', connector.name],
    ['Server URL', connector.serverUrl],
    ['Authorization URL', connector.authorizationUrl],
    ['Token URL', connector.tokenUrl],
    ['Client ID', connector.clientId],
    ['Client Secret', connector.clientSecret ?? noSecret],
    ['Scopes', connector.scopes],
    ['API Base URL', connector.apiBaseUrl],
    ['Authentication', connector.authentication],
  ]
}

function programRows(client: Revealed, { tokenUrl }: ProgramGuide): Rows {
  const { name, id, clientSecret, grantTypes, scopes } = client
  return [
    ['Name', name],
    ['Token URL', tokenUrl],
    ['Client ID', id],
    ['Client Secret', clientSecret ?? noSecret],
    ['Grant types', grantTypes.join(' ')],
    ...(scopes.length === 0 ? [] : ([['Scopes', scopes.join(' ')]] as const)),
  ]
}
