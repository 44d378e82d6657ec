// `latchkey users …`: makes, lists and removes people, changes what they may do, and gives a new password to who lost theirs.
// A password is printed once, when it is made.
import type { Command } from 'commander'
import { pageSizes } from '../base/page.ts'
import { operatorAtTheMachine } from '../people/principal.ts'
import type { ListedUser } from '../people/user-list.ts'
import type { UserWithPassword } from '../people/user-administration.ts'
import { nameOf, roles } from '../people/users.ts'
import type { UserChange } from '../people/user-change.ts'
import type { Role, User } from '../people/users.ts'
import { day, table } from './terminal.ts'
import { atTheBench } from './workshop.ts'
import type { Bench } from './workshop.ts'

interface JsonOption {
  readonly json?: boolean
}

/** Adds the commands. */
export function addUsers(program: Command): void {
  const users = program.command('users').description('the people who may sign in')
  users
    .command('create <email>')
    .description('make one, with a password that is shown once')
    .option('--name <name>', 'what they are called')
    .option('--role <role>', roles.join(', '), 'user')
    .option('--json', 'as JSON')
    .action((email: string, options: CreateOptions) =>
      atTheBench((bench) => create(bench, email, options)),
    )
  users
    .command('list')
    .description('list them')
    .option('--json', 'as JSON')
    .action((options: JsonOption) => atTheBench((bench) => list(bench, options)))
  users
    .command('set-role <who> <role>')
    .description(`change what one may do: ${roles.join(', ')}`)
    .option('--json', 'as JSON')
    .action((who: string, role: string, options: JsonOption) =>
      atTheBench((bench) => setRole(bench, { who, role }, options)),
    )
  for (const [name, words, disabled] of [
    ['disable', 'shut one out at once; nothing of theirs is lost', true],
    ['enable', 'let one in again', false],
  ] as const) {
    users
      .command(`${name} <who>`)
      .description(words)
      .option('--json', 'as JSON')
      .action((who: string, options: JsonOption) =>
        atTheBench((bench) => setDisabled(bench, { who, disabled }, options)),
      )
  }
  users
    .command('remove <who>')
    .description('remove one, with all that is theirs: access, keys and connections')
    .option('--json', 'as JSON')
    .action((who: string, options: JsonOption) =>
      atTheBench((bench) => remove(bench, who, options)),
    )
  users
    .command('reset <who>')
    .description('give one a new password, and sign them out everywhere')
    .option('--json', 'as JSON')
    .action((who: string, options: JsonOption) => atTheBench((bench) => reset(bench, who, options)))
}

interface CreateOptions extends JsonOption {
  readonly name?: string
  readonly role: string
}

async function create(
  { workshop, terminal }: Bench,
  email: string,
  { name, role, json }: CreateOptions,
): Promise<void> {
  const made = await workshop.people.create(operatorAtTheMachine(workshop.tenant), {
    email,
    role: readRole(role),
    ...(name === undefined ? {} : { name }),
  })
  terminal.print(json === true ? asJson(made) : withPassword('is made', made))
}

async function list({ workshop, terminal }: Bench, { json }: JsonOption): Promise<void> {
  const items = await everybody(workshop)
  if (json === true) return terminal.print(JSON.stringify({ items }))
  if (items.length === 0) return terminal.print('Nobody has an account yet.')
  const head = ['ID', 'E-MAIL', 'NAME', 'ROLE', 'STATE', 'SINCE (UTC)']
  const rows = items.map(({ id, email, name, role, disabled, createdAt }) => [
    id,
    email ?? '-',
    name ?? '-',
    role,
    disabled ? 'off' : 'on',
    day(createdAt),
  ])
  terminal.print(table([head, ...rows]))
}

async function everybody({ people, tenant }: Bench['workshop']): Promise<readonly ListedUser[]> {
  const by = operatorAtTheMachine(tenant)
  const all: ListedUser[] = []
  for (let cursor: string | undefined; ;) {
    const page = await people.list(by, { limit: pageSizes.most, ...(cursor && { cursor }) })
    all.push(...page.items)
    if (page.nextCursor === undefined) return all
    cursor = page.nextCursor
  }
}

async function setRole(
  { workshop, terminal }: Bench,
  { who, role }: { readonly who: string; readonly role: string },
  { json }: JsonOption,
): Promise<void> {
  const user = await change(workshop, who, { role: readRole(role) })
  terminal.print(json === true ? JSON.stringify(user) : `${nameOf(user)} is now: ${user.role}.`)
}

async function setDisabled(
  { workshop, terminal }: Bench,
  { who, disabled }: { readonly who: string; readonly disabled: boolean },
  { json }: JsonOption,
): Promise<void> {
  const user = await change(workshop, who, { disabled })
  const words = disabled ? 'cannot come in any more, and is signed out' : 'may sign in again'
  terminal.print(json === true ? JSON.stringify(user) : `${nameOf(user)} ${words}.`)
}

async function change({ people, tenant }: Bench['workshop'], who: string, how: UserChange) {
  const { id } = await findListed({ people, tenant }, who)
  return people.update(operatorAtTheMachine(tenant), id, how)
}

async function remove(
  { workshop, terminal }: Bench,
  who: string,
  { json }: JsonOption,
): Promise<void> {
  const person = await findListed(workshop, who)
  await workshop.people.remove(operatorAtTheMachine(workshop.tenant), person.id)
  const words = `${nameOf(person)} is removed, with everything that was theirs.`
  terminal.print(json === true ? JSON.stringify({ removed: person.id }) : words)
}

/** The same as findPerson, for one who may be disabled too. */
async function findListed(
  workshop: Pick<Bench['workshop'], 'people' | 'tenant'>,
  who: string,
): Promise<ListedUser> {
  if (who === '') throw new Error(emptyPerson)
  const found = await workshop.people.find(workshop.tenant, who)
  if (found !== undefined) return found
  throw new Error(noSuchPerson(who))
}

async function reset(
  { workshop, terminal }: Bench,
  who: string,
  { json }: JsonOption,
): Promise<void> {
  const { id } = await findPerson(workshop, who)
  const made = await workshop.people.resetPassword(operatorAtTheMachine(workshop.tenant), id)
  terminal.print(json === true ? asJson(made) : withPassword('is signed out everywhere', made))
}

/** The person with this e-mail or id. */
export async function findPerson(workshop: Bench['workshop'], who: string): Promise<User> {
  if (who === '') throw new Error(emptyPerson)
  const person = await lookUpPerson(workshop, who)
  if (person !== undefined) return person
  throw new Error(noSuchPerson(who))
}

/** The same where nobody is an answer too. */
export function lookUpPerson(
  { users, tenant }: Bench['workshop'],
  who: string,
): Promise<User | undefined> {
  return who.includes('@') ? users.byEmail(tenant, who) : users.byId(tenant, who)
}

export const emptyPerson = 'The user must not be empty.'

export function noSuchPerson(who: string): string {
  return `There is no user ${who} here. "latchkey users list" shows all.`
}

function readRole(text: string): Role {
  const role = roles.find((known) => known === text)
  if (role !== undefined) return role
  throw new Error(`The role is one of ${roles.join(', ')}.`)
}

function asJson({ user, password }: UserWithPassword): string {
  return JSON.stringify({ ...user, password: password.reveal() })
}

function withPassword(what: string, { user, password }: UserWithPassword): string {
  return `${nameOf(user)} ${what}. Password, shown only this once:\n\n  ${password.reveal()}`
}
