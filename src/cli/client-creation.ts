// `latchkey clients create`: asks for what is missing, makes the client only after a yes, and prints what has to be pasted
// into Claude.ai (seed 003's oauth:register-client).
import type { ClientWithSecret } from '../issuer/client-administration.ts'
import type { NewClient } from '../issuer/client-registration.ts'
import { claudeRedirectUris } from '../issuer/known-clients.ts'
import { authMethods, grantTypeNames } from '../issuer/metadata.ts'
import type { GrantTypeName } from '../issuer/metadata.ts'
import { toolsScope } from '../issuer/scopes.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Terminal } from './terminal.ts'
import { splitList, table } from './terminal.ts'
import { findPerson } from './users.ts'
import type { Bench } from './workshop.ts'

/** What the flags say. */
export interface CreateOptions {
  readonly name?: string
  readonly redirectUri?: readonly string[]
  readonly scope?: readonly string[]
  readonly user?: string
  readonly authMethod?: string
  readonly grantType?: readonly string[]
  readonly dpop?: boolean
  readonly resource?: string
  readonly mayReach?: readonly string[]
  readonly json?: boolean
}

/** Makes one client from flags, or from flags and answers. */
export async function createOne(bench: Bench, options: CreateOptions): Promise<void> {
  const { workshop, terminal } = bench
  const answers = await complete(terminal, options)
  if (answers === 'given_up') return terminal.print('Cancelled. Nothing was made.')

  const client = await readNewClient(bench, answers)
  if (answers.isToBeConfirmed && !(await isConfirmed(terminal, client))) {
    return terminal.print('Cancelled. Nothing was made.')
  }
  const made = await workshop.issuer.clients.create({ tenant: workshop.tenant }, client)
  const shown = reveal(made)
  const connector = connectorOf(workshop.tenant, shown)
  if (options.json === true) return terminal.print(JSON.stringify({ ...shown, connector }))
  terminal.print(describe(shown.name, connector))
}

interface Answers extends CreateOptions {
  readonly isToBeConfirmed: boolean
}

/** What is missing is asked for where a person can answer; elsewhere it is an error. */
async function complete(terminal: Terminal, options: CreateOptions): Promise<Answers | 'given_up'> {
  const needsRedirectUri = isForBrowsers(options) && options.redirectUri === undefined
  const isComplete = options.name !== undefined && !needsRedirectUri
  if (isComplete) return { ...options, isToBeConfirmed: false }
  if (!terminal.isInteractive || options.json === true) {
    throw new Error('Say --name and --redirect-uri, or run this in a terminal to be asked.')
  }
  const name = options.name ?? (await terminal.ask('Name that people see'))
  if (name === undefined) return 'given_up'
  const redirectUri =
    options.redirectUri ??
    (isForBrowsers(options)
      ? await terminal.ask('Redirect URIs, with commas between them [those of Claude]')
      : [])
  if (redirectUri === undefined) return 'given_up'
  const scope =
    options.scope ?? (await terminal.ask(`Scopes, with commas between them [${toolsScope}]`))
  if (scope === undefined) return 'given_up'
  const user = options.user ?? (await terminal.ask('Who answers for it (e-mail or user id)'))
  if (user === undefined) return 'given_up'
  return {
    ...options,
    name,
    redirectUri: typeof redirectUri === 'string' ? urisIn(redirectUri) : redirectUri,
    scope: typeof scope === 'string' ? splitList(scope === '' ? toolsScope : scope) : scope,
    user,
    isToBeConfirmed: true,
  }
}

function urisIn(answer: string): readonly string[] {
  return answer === '' ? claudeRedirectUris : splitList(answer)
}

/** Only who is answered by a redirect has to say where to (RFC 7591 §2); a device or a program by itself is not. */
function isForBrowsers({ grantType }: CreateOptions): boolean {
  return grantType === undefined || grantType.includes('authorization_code')
}

async function readNewClient({ workshop }: Bench, answers: Answers): Promise<NewClient> {
  const { name = '', redirectUri = [], scope = [], user, authMethod, dpop } = answers
  if (name.trim() === '') throw new Error('The name must not be empty.')
  if (redirectUri.length === 0 && isForBrowsers(answers)) {
    throw new Error('At least one redirect URI is needed.')
  }
  const method = authMethods.find((known) => known === authMethod)
  if (authMethod !== undefined && method === undefined) {
    throw new Error(`--auth-method is one of ${authMethods.join(', ')}.`)
  }
  const { grantType, resource, mayReach } = answers
  const owner = user === undefined ? undefined : await findPerson(workshop, user)
  return {
    name,
    redirectUris: redirectUri,
    scopes: scope,
    ...(method === undefined ? {} : { authMethod: method }),
    ...(grantType === undefined ? {} : { grantTypes: grantType.map(readGrantType) }),
    ...(resource === undefined ? {} : { resource }),
    ...(mayReach === undefined ? {} : { mayReach }),
    ...(owner === undefined ? {} : { ownerId: owner.id }),
    ...(dpop === undefined ? {} : { dpopBoundAccessTokens: dpop }),
  }
}

function readGrantType(word: string): GrantTypeName {
  const name = grantTypeNames.find((known) => known === word)
  if (name !== undefined) return name
  throw new Error(`--grant-type is one or more of ${grantTypeNames.join(', ')}.`)
}

async function isConfirmed(terminal: Terminal, client: NewClient): Promise<boolean> {
  const { name, redirectUris, scopes = [] } = client
  terminal.print(
    table([
      ['', 'Name', name],
      ...redirectUris.map((uri, index) => ['', index === 0 ? 'Redirect URIs' : '', uri]),
      ['', 'Scopes', scopes.join(', ')],
    ]),
  )
  const answer = (await terminal.ask('Make this client? (yes/no)'))?.toLowerCase()
  return answer === 'yes' || answer === 'y'
}

/** A client with its secret in the open, for an answer that is given once. */
export function reveal({ client, secret }: ClientWithSecret) {
  return { ...client, ...(secret === undefined ? {} : { clientSecret: secret.reveal() }) }
}

type Revealed = ReturnType<typeof reveal>

/** The fields of a connector as Claude.ai and its kin ask for them. */
function connectorOf({ issuer }: Tenant, client: Revealed) {
  return {
    name: client.name,
    serverUrl: `${issuer}/mcp`,
    authorizationUrl: `${issuer}/oauth/authorize`,
    tokenUrl: `${issuer}/oauth/token`,
    clientId: client.id,
    clientSecret: client.clientSecret,
    scopes: client.scopes.length === 0 ? toolsScope : client.scopes.join(' '),
    apiBaseUrl: issuer,
    authentication: 'OAuth 2.0',
  }
}

function describe(name: string, connector: ReturnType<typeof connectorOf>): string {
  const { clientSecret } = connector
  const rows = [
    ['Name', connector.name],
    ['Server URL', connector.serverUrl],
    ['Authorization URL', connector.authorizationUrl],
    ['Token URL', connector.tokenUrl],
    ['Client ID', connector.clientId],
    ['Client Secret', clientSecret ?? '(none: this client is public)'],
    ['Scopes', connector.scopes],
    ['API Base URL', connector.apiBaseUrl],
    ['Authentication', connector.authentication],
  ] as const
  const lines = table(rows.map(([label, value]) => ['', `${label}:`, value]))
  const once = clientSecret === undefined ? '' : '\n\nThe secret is shown only this once.'
  return `${name} is made. To paste into Claude.ai (Settings, Connectors, Add custom connector):\n\n${lines}${once}`
}
