// `latchkey clients …`: makes, lists, switches and re-keys the programs that use our authorization server. Works on the
// database itself, so a running server sees it at once. A secret is printed once, when it is made.
import type { Command } from 'commander'
import type { PublicClient } from '../issuer/client-list.ts'
import { overlapMaxMs } from '../issuer/client-administration.ts'
import { createOne } from './client-creation.ts'
import { reveal } from './client-guide.ts'
import type { CreateOptions } from './client-questions.ts'
import { day, splitList, table, whenMissing } from './terminal.ts'
import { atTheBench } from './workshop.ts'
import type { Bench } from './workshop.ts'

interface JsonOption {
  readonly json?: boolean
}

/** Adds the commands. */
export function addClients(program: Command): void {
  const clients = program.command('clients').description('the programs that people let in')
  addCreate(clients)
  clients
    .command('list')
    .description('list them, with how much each is used')
    .option('--json', 'as JSON')
    .action((options: JsonOption) => atTheBench((bench) => listAll(bench, options)))
  for (const [name, disabled, words] of [
    ['disable', true, 'switch one off: its tokens stop working at once'],
    ['enable', false, 'switch one on again'],
  ] as const) {
    clients
      .command(`${name} <id>`)
      .description(words)
      .option('--json', 'as JSON')
      .action((id: string, options: JsonOption) =>
        atTheBench((bench) => setDisabled(bench, id, { ...options, disabled })),
      )
  }
  clients
    .command('rotate-secret <id>')
    .description('give one a new secret; the one before works for a while longer')
    .option('--overlap-hours <hours>', 'how long the secret before still works', '24')
    .option('--json', 'as JSON')
    .action((id: string, options: JsonOption & { overlapHours: string }) =>
      atTheBench((bench) => rotate(bench, id, options)),
    )
}

function addCreate(clients: Command): void {
  const list = (value: string, before: readonly string[] = []) => [...before, ...splitList(value)]
  clients
    .command('create')
    .description('make one; asks for what is missing when run in a terminal')
    .option('--name <name>', 'what people see')
    .option('--redirect-uri <uris>', 'where it may be answered; several with commas', list)
    .option('--scope <scopes>', 'what it may ask for; everything unless said', list)
    .option('--user <who>', 'who answers for it: e-mail or id')
    .option('--grant-type <types>', 'how it gets in; as people do in a browser unless said', list)
    .option('--auth-method <method>', 'none, client_secret_basic or client_secret_post')
    .option('--dpop', 'its tokens work only with a key of its own (RFC 9449)')
    .option('--resource <url>', 'the resource that it serves')
    .option('--may-reach <urls>', 'the resources that it may exchange a token for', list)
    .option('--json', 'as JSON, and without questions')
    .action((options: CreateOptions) => atTheBench((bench) => createOne(bench, options)))
}

const pageSize = 200
const listedMax = 10_000

/** Prints all clients, at most 10 000. */
export async function listAll({ workshop, terminal }: Bench, { json }: JsonOption): Promise<void> {
  const by = { tenant: workshop.tenant }
  const items: PublicClient[] = []
  let cursor: string | undefined
  do {
    const after = cursor === undefined ? {} : { cursor }
    const page = await workshop.issuer.clients.list(by, { limit: pageSize, ...after })
    items.push(...page.items)
    cursor = page.nextCursor
  } while (cursor !== undefined && items.length < listedMax)
  if (json === true) return terminal.print(JSON.stringify({ items }))
  if (items.length === 0) return terminal.print('There are no clients yet.')
  const head = ['ID', 'NAME', 'MADE BY', 'STATE', 'GRANTS', 'LAST USED (UTC)']
  terminal.print(table([head, ...items.map(rowOf)]))
}

const madeBy = { manual: 'hand', registered: 'itself', document: 'its document' } as const

function rowOf(client: PublicClient): readonly string[] {
  const state = client.disabled ? 'off' : 'on'
  const { id, name, kind, activeGrants, lastUsedAt } = client
  const lastUsed = lastUsedAt === undefined ? 'never' : day(lastUsedAt)
  return [id, name, madeBy[kind], state, `${activeGrants}`, lastUsed]
}

/** Switches one client off or on and says so. */
export async function setDisabled(
  { workshop, terminal }: Bench,
  id: string,
  { json, disabled }: JsonOption & { readonly disabled: boolean },
): Promise<void> {
  const client = await workshop.issuer.clients
    .update({ tenant: workshop.tenant }, id, { disabled })
    .catch(explain(id))
  if (json === true) return terminal.print(JSON.stringify(client))
  terminal.print(
    disabled
      ? `${client.name} (${id}) is off. Its tokens have stopped working; "latchkey clients enable" brings them back.`
      : `${client.name} (${id}) is on.`,
  )
}

/** Gives one client a new secret and prints it once. */
export async function rotate(
  { workshop, terminal }: Bench,
  id: string,
  { json, overlapHours }: JsonOption & { readonly overlapHours: string },
): Promise<void> {
  const overlapMs = readHours(overlapHours)
  const rotated = await workshop.issuer.clients
    .rotateSecret({ tenant: workshop.tenant }, id, { overlapMs })
    .catch(explain(id))
  const { previousSecretExpiresAt } = rotated
  if (json === true) {
    return terminal.print(JSON.stringify({ ...reveal(rotated), previousSecretExpiresAt }))
  }
  const before =
    overlapMs === 0
      ? 'The secret before it has stopped working.'
      : `The secret before it works until ${day(previousSecretExpiresAt)} UTC.`
  terminal.print(`New secret of ${rotated.client.name}, shown only this once:

  ${rotated.secret?.reveal() ?? ''}

${before}`)
}

function readHours(text: string): number {
  const ms = Number(text) * 3_600_000
  if (text.trim() !== '' && ms >= 0 && ms <= overlapMaxMs) return ms
  throw new Error(`--overlap-hours is a number from 0 to ${overlapMaxMs / 3_600_000}.`)
}

function explain(id: string) {
  return whenMissing(`There is no client ${id}. "latchkey clients list" shows all.`)
}
