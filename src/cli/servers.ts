// `latchkey servers …`: adds, lists, removes and tries out the MCP servers behind the gateway. Works on the database
// itself, so a running server sees it at once.
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { operatorAtTheMachine } from '../people/principal.ts'
import type { Workshop } from '../workshop.ts'
import { findProvider } from './find-provider.ts'
import { readSecret } from './secret-input.ts'
import { grantTypes } from '../upstream/grant.ts'
import { table } from './terminal.ts'
import { findPerson } from './users.ts'
import { atTheBench } from './workshop.ts'
import type { Bench } from './workshop.ts'

interface JsonOption {
  readonly json?: boolean
}

/** Adds the commands. */
export function addServers(program: Command): void {
  const servers = program.command('servers').description('the MCP servers behind the gateway')
  addAdd(servers)
  servers
    .command('templates')
    .description('well-known servers that "servers add" takes by name')
    .option('--json', 'as JSON')
    .action((options: JsonOption) => atTheBench((bench) => listTemplates(bench, options)))
  servers
    .command('list')
    .description('list them')
    .option('--json', 'as JSON')
    .action((options: JsonOption) => atTheBench((bench) => list(bench, options)))
  servers
    .command('remove <server>')
    .description('remove one, named by slug or id, with its connections')
    .option('--json', 'as JSON')
    .action((name: string, options: JsonOption) =>
      atTheBench((bench) => remove(bench, name, options)),
    )
  servers
    .command('test <server>')
    .description('list the tools of one, or say why that does not work')
    .option('--user <who>', 'for whom: e-mail or id; the first administrator unless said')
    .option('--json', 'as JSON')
    .action((name: string, options: JsonOption & { user?: string }) =>
      atTheBench((bench) => tryOut(bench, name, options)),
    )
}

function addAdd(servers: Command): void {
  const list = (value: string, before: readonly string[] = []) => [...before, value]
  servers
    .command('add <url-or-template>')
    .description('add one, by its URL or by a name that "servers templates" lists')
    .option('--name <name>', 'what people see')
    .option('--slug <slug>', 'its path here: /<slug>/mcp')
    .option('--auth <how>', 'none, headers, oauth, provider or assertion; found out unless said')
    .option('--provider <provider>', 'for provider: where people sign in, by slug, id or name')
    .option('--header <line>', 'a fixed header, "Name: value"; may come several times', list)
    .option('--issuer <url>', 'its authorization server, if it does not say so itself')
    .option('--client-id <id>', 'our client id there, if it has to be made by hand')
    .option('--client-secret', 'the secret that belongs to it, read from a pipe or asked for')
    .option(
      '--client-key <file>',
      'a private key that proves it, in PEM or as a JWK; or "generate"',
    )
    .option('--grant-type <type>', 'client_credentials where nobody signs in: we prove ourselves')
    .option('--scopes <scopes>', 'the scopes to ask for there')
    .option('--token-format <format>', 'how our access tokens for it look: opaque or jwt', 'opaque')
    .option('--json', 'as JSON')
    .action((which: string, options: AddOptions) =>
      atTheBench((bench) => add(bench, which, options)),
    )
}

interface AddOptions extends JsonOption {
  readonly name?: string
  readonly slug?: string
  readonly auth?: string
  readonly provider?: string
  readonly header?: readonly string[]
  readonly issuer?: string
  readonly clientId?: string
  readonly clientSecret?: true
  readonly clientKey?: string
  readonly grantType?: string
  readonly scopes?: string
  readonly tokenFormat: string
}

const auths = ['none', 'headers', 'oauth', 'provider', 'assertion'] as const
const tokenFormats = ['opaque', 'jwt'] as const

async function add(
  { workshop, terminal }: Bench,
  which: string,
  { json, header, clientSecret: hasSecret, clientKey: keyFile, ...options }: AddOptions,
): Promise<void> {
  const { auth: _how, tokenFormat: _format, grantType: _type, provider, ...rest } = options
  const words = wordsOf(options)
  const { tenant, servers } = workshop
  const secret = hasSecret === true ? await readSecret() : undefined
  const clientKey = keyFile === undefined ? undefined : readKey(keyFile)
  const there = provider === undefined ? undefined : await findProvider(workshop, tenant, provider)
  const made = await servers.create(operatorAtTheMachine(tenant), {
    ...placeOf(workshop, which),
    ...rest,
    ...words,
    ...(there === undefined ? {} : { providerId: there.id }),
    ...(secret === undefined ? {} : { clientSecret: secret.reveal() }),
    ...(clientKey === undefined ? {} : { clientKey }),
    ...(header === undefined ? {} : { headers: readHeaders(header) }),
  })
  if (json === true) return terminal.print(JSON.stringify(made))
  const { name, slug, discovered } = made
  const from = discovered?.issuer === undefined ? '' : ` at ${discovered.issuer}`
  terminal.print(`${name} is at ${tenant.issuer}/${slug}/mcp. Sign-in: ${made.auth}${from}.`)
  if (made.clientKey !== undefined) {
    terminal.print(`The public half of our key there is at ${made.clientKey.jwksUri}.`)
  }
  if (discovered?.registration !== 'none') return
  terminal.print(
    [
      'Its authorization server takes no registrations, so nobody can sign in yet. Make a client there by hand with the redirect URI',
      `  ${made.redirectUri ?? ''}`,
      `and give its id and secret: PATCH /api/v1/servers/${made.id} {"clientId": …, "clientSecret": …}.`,
    ].join('\n'),
  )
}

/** The options that are one of a few words. */
function wordsOf(options: Pick<AddOptions, 'auth' | 'tokenFormat' | 'grantType'>) {
  const auth = oneOf(auths, '--auth', options.auth)
  const grantType = oneOf(grantTypes, '--grant-type', options.grantType)
  return {
    ...(auth === undefined ? {} : { auth }),
    ...(grantType === undefined ? {} : { grantType }),
    tokenFormat: oneOf(tokenFormats, '--token-format', options.tokenFormat),
  }
}

function oneOf<T extends string>(
  known: readonly T[],
  option: string,
  given: string | undefined,
): T | undefined {
  const found = known.find((one) => one === given)
  if (given === undefined || found !== undefined) return found
  throw new Error(`${option} is one of ${known.join(', ')}.`)
}

function readKey(file: string): string {
  if (file === 'generate') return file
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new Error(`The key file ${file} cannot be read.`, { cause })
  }
}

/** A URL as it was given, or where the template of that name is. */
function placeOf(
  { servers }: Workshop,
  which: string,
): { readonly url: string; readonly name?: string } {
  if (URL.canParse(which)) return { url: which }
  const template = servers.templates.find(({ id }) => id === which)
  if (template !== undefined) return { url: template.url, name: template.name }
  throw new Error(
    `${which} is neither an address nor a template. "latchkey servers templates" lists them.`,
  )
}

async function listTemplates({ workshop, terminal }: Bench, { json }: JsonOption): Promise<void> {
  const { templates: items } = workshop.servers
  if (json === true) return terminal.print(JSON.stringify({ items }))
  const rows = items.map(({ id, name, url, words }) => [id, name, url, words])
  terminal.print(table([['TEMPLATE', 'NAME', 'URL', 'BEFORE'], ...rows]))
}

function readHeaders(lines: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    lines.map((line) => {
      const [, name, value] = /^([^:\s]+):\s*(.+)$/.exec(line) ?? []
      if (name === undefined || value === undefined) {
        throw new Error('--header is a name, a colon and a value: "Authorization: Bearer …".')
      }
      return [name, value]
    }),
  )
}

const pageSize = 200
const listedMax = 10_000

async function allServers({ servers, tenant }: Workshop) {
  const by = operatorAtTheMachine(tenant)
  const page = await servers.list(by, { limit: pageSize })
  const items = [...page.items]
  let cursor = page.nextCursor
  while (cursor !== undefined && items.length < listedMax) {
    const next = await servers.list(by, { limit: pageSize, cursor })
    items.push(...next.items)
    cursor = next.nextCursor
  }
  return items
}

async function list({ workshop, terminal }: Bench, { json }: JsonOption): Promise<void> {
  const items = await allServers(workshop)
  if (json === true) return terminal.print(JSON.stringify({ items }))
  if (items.length === 0) return terminal.print('There are no servers yet.')
  const head = ['ID', 'NAME', 'PATH', 'SIGN-IN', 'URL']
  const rows = items.map(({ id, name, slug, auth, url }) => [id, name, `/${slug}/mcp`, auth, url])
  terminal.print(table([head, ...rows]))
}

async function remove(
  { workshop, terminal }: Bench,
  nameGiven: string,
  { json }: JsonOption,
): Promise<void> {
  const { id, name } = await findServer(workshop, nameGiven)
  await workshop.servers.remove(operatorAtTheMachine(workshop.tenant), id)
  terminal.print(json === true ? JSON.stringify({ id }) : `${name} is removed.`)
}

async function tryOut(
  { workshop, terminal }: Bench,
  nameGiven: string,
  { json, user }: JsonOption & { readonly user?: string },
): Promise<void> {
  const { id, name } = await findServer(workshop, nameGiven)
  const person = await personFor(workshop, user)
  const by = operatorAtTheMachine(workshop.tenant, person)
  const outcome = await workshop.servers.test(by, id)
  if (!outcome.ok) process.exitCode = 1
  if (json === true) return terminal.print(JSON.stringify(outcome))
  const who = person.email ?? person.id
  if (!outcome.ok) return terminal.print(`${name} does not work for ${who}: ${outcome.words}`)
  const tools = outcome.tools.map((tool) => `  ${tool.name}`)
  terminal.print([`${name} has ${outcome.toolCount} tools for ${who}:`, ...tools].join('\n'))
}

async function personFor(workshop: Workshop, user: string | undefined) {
  if (user !== undefined) return findPerson(workshop, user)
  const keeper = await workshop.people.keeper(workshop.tenant)
  if (keeper !== undefined) return keeper
  throw new Error('Say --user: a server is tried out for a person, and nobody has an account yet.')
}

async function findServer({ servers, tenant }: Workshop, name: string) {
  const found = (await servers.bySlug(tenant, name)) ?? (await servers.byId(tenant, name))
  if (found !== undefined) return found
  throw new Error(`There is no server ${name}. "latchkey servers list" shows all.`)
}
