// `latchkey clients create`: makes the client that flags and answers describe, after a yes if somebody was asked, and says
// what it needs (seed 003's oauth:register-client).
import type { NewClient } from '../issuer/client-registration.ts'
import { authMethods, grantTypeNames } from '../issuer/metadata.ts'
import type { GrantTypeName } from '../issuer/metadata.ts'
import { describe, guideFor, reveal } from './client-guide.ts'
import { complete, emptyName, isForBrowsers, noRedirectUri } from './client-questions.ts'
import type { Answers, CreateOptions } from './client-questions.ts'
import type { Terminal } from './terminal.ts'
import { table } from './terminal.ts'
import { findPerson } from './users.ts'
import type { Bench } from './workshop.ts'

/** Makes one client from flags, or from flags and answers. */
export async function createOne(bench: Bench, options: CreateOptions): Promise<void> {
  const { workshop, terminal } = bench
  const answers = await complete(bench, options)
  if (answers === 'given_up') return terminal.print('Cancelled. Nothing was made.')

  const client = await readNewClient(bench, answers)
  if (answers.isToBeConfirmed && !(await isConfirmed(terminal, client))) {
    return terminal.print('Cancelled. Nothing was made.')
  }
  const made = await workshop.issuer.clients.create({ tenant: workshop.tenant }, client)
  const shown = reveal(made)
  const guide = guideFor(workshop.tenant, shown)
  if (options.json === true) return terminal.print(JSON.stringify({ ...shown, ...guide }))
  terminal.print(describe(shown, guide))
}

async function readNewClient({ workshop }: Bench, answers: Answers): Promise<NewClient> {
  const { name = '', redirectUri = [], scope = [], user, authMethod, dpop } = answers
  if (name.trim() === '') throw new Error(emptyName)
  if (redirectUri.length === 0 && isForBrowsers(answers)) throw new Error(noRedirectUri)
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
