// `latchkey api-keys …`: makes, lists and ends the keys with which programs use REST as a person. A key stands alone on
// stdout, once, when it is made; what is for a person to read goes to stderr.
import type { Command } from 'commander'
import type { ListedApiKey } from '../people/api-key-administration.ts'
import { operatorAtTheMachine } from '../people/principal.ts'
import { apiKeyNameMaxCharacters, apiKeyScopes } from '../people/api-keys.ts'
import type { ApiKeyScope } from '../people/api-keys.ts'
import { day, splitList, table, whenMissing } from './terminal.ts'
import { findPerson } from './users.ts'
import { atTheBench } from './workshop.ts'
import type { Bench } from './workshop.ts'

interface JsonOption {
  readonly json?: boolean
}

/** Adds the commands. */
export function addApiKeys(program: Command): void {
  const keys = program.command('api-keys').description('the keys with which programs use REST')
  const collect = (value: string, before: readonly string[] = []) => [
    ...before,
    ...splitList(value),
  ]
  keys
    .command('create')
    .description('make one; it alone is printed to stdout, once')
    .option('--user <who>', 'whose it is and as whom it acts: e-mail or id')
    .option('--name <name>', 'what it is for')
    .option('--scopes <scopes>', `what it may: ${apiKeyScopes.join(', ')}`, collect)
    .option('--expires <when>', 'a day (UTC) or how long, such as 90d or 12h; never unless said')
    .option('--json', 'as JSON')
    .action((options: CreateOptions) => atTheBench((bench) => create(bench, options)))
  keys
    .command('list')
    .description('list those that nobody has revoked, without their values')
    .option('--user <who>', 'only this person’s: e-mail or id')
    .option('--json', 'as JSON')
    .action((options: JsonOption & { user?: string }) =>
      atTheBench((bench) => list(bench, options)),
    )
  keys
    .command('revoke <id>')
    .description('end one: it stops working at once')
    .option('--json', 'as JSON')
    .action((id: string, options: JsonOption) => atTheBench((bench) => revoke(bench, id, options)))
}

interface CreateOptions extends JsonOption {
  readonly user?: string
  readonly name?: string
  readonly scopes?: readonly string[]
  readonly expires?: string
}

async function create(
  { workshop, terminal }: Bench,
  { user, name, scopes, expires, json }: CreateOptions,
): Promise<void> {
  if (user === undefined || name === undefined || scopes === undefined) {
    throw new Error('Say --user, --name and --scopes.')
  }
  const described = {
    name: readName(name),
    scopes: readScopes(scopes),
    ...readEnd(expires, workshop.ground.clock.now()),
  }
  const person = await findPerson(workshop, user)
  const made = await workshop.apiKeys.create(workshop.tenant, person, described)
  const { id, key, createdAt } = made
  const owner = { userId: person.id, email: person.email }
  if (json === true) {
    const shown = { id, ...described, createdAt, ...owner, key: key.reveal() }
    return terminal.print(JSON.stringify(shown))
  }
  const until = described.expiresAt === undefined ? '' : ` until ${day(described.expiresAt)} UTC`
  terminal.note(
    `${described.name} (${id}) acts as ${nameOf(owner)}${until}. The key, shown only this once:`,
  )
  terminal.print(key.reveal())
}

function readName(text: string): string {
  const name = text.trim()
  if (name !== '' && name.length <= apiKeyNameMaxCharacters) return name
  throw new Error(`--name is 1 to ${apiKeyNameMaxCharacters} characters.`)
}

function readScopes(words: readonly string[]): readonly ApiKeyScope[] {
  const scopes = apiKeyScopes.filter((scope) => words.includes(scope))
  if (scopes.length > 0 && scopes.length === new Set(words).size) return scopes
  throw new Error(`--scopes is one or more of ${apiKeyScopes.join(', ')}.`)
}

const unitMs = { d: 24 * 3_600_000, h: 3_600_000 } as const

function readEnd(text: string | undefined, now: number): { readonly expiresAt?: number } {
  if (text === undefined) return {}
  const expiresAt = momentIn(text, now)
  if (expiresAt === undefined) {
    throw new Error('--expires is a day such as 2027-01-31 (UTC), or how long: 90d, 12h.')
  }
  if (expiresAt > now) return { expiresAt }
  throw new Error('--expires is a moment that is still to come.')
}

/** A day begins with its first moment. */
function momentIn(text: string, now: number): number | undefined {
  const { count, unit } = /^(?<count>\d{1,5})(?<unit>[dh])$/.exec(text)?.groups ?? {}
  if (unit === 'd' || unit === 'h') return now + Number(count) * unitMs[unit]
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return undefined
  const moment = Date.parse(text)
  // A day that no month has becomes one of the next month.
  const isReal = !Number.isNaN(moment) && new Date(moment).toISOString().startsWith(text)
  return isReal ? moment : undefined
}

async function list(
  { workshop, terminal }: Bench,
  { user, json }: JsonOption & { readonly user?: string },
): Promise<void> {
  const owner = user === undefined ? undefined : await findPerson(workshop, user)
  const items = await workshop.apiKeys.list(workshop.tenant, owner)
  if (json === true) return terminal.print(JSON.stringify({ items }))
  if (items.length === 0) return terminal.print('There are no API keys yet.')
  const head = ['ID', 'NAME', 'PERSON', 'SCOPES', 'MADE (UTC)', 'EXPIRES (UTC)']
  terminal.print(table([head, ...items.map(rowOf)]))
}

function rowOf(key: ListedApiKey): readonly string[] {
  const { id, name, scopes, createdAt, expiresAt } = key
  return [id, name, nameOf(key), scopes.join(', '), day(createdAt), day(expiresAt)]
}

async function revoke(
  { workshop, terminal }: Bench,
  id: string,
  { json }: JsonOption,
): Promise<void> {
  const words = `There is no living API key ${id}. "latchkey api-keys list" shows all.`
  const { name, userId } = await workshop.apiKeys
    .end(operatorAtTheMachine(workshop.tenant), id)
    .catch(whenMissing(words))
  if (json === true) return terminal.print(JSON.stringify({ id, name, userId }))
  const person = await workshop.users.byId(workshop.tenant, userId)
  const owner = nameOf({ userId, email: person?.email })
  terminal.print(`The key ${name} (${id}) of ${owner} has ended.`)
}

function nameOf({
  userId,
  email,
}: {
  readonly userId: string
  readonly email: string | undefined
}): string {
  return email ?? userId
}
