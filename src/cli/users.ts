// `latchkey users …`: makes and lists people, changes what they may do, and gives a new password to one who lost theirs.
// A password is printed once, when it is made.
import type { Command } from 'commander'
import { roles } from '../people/user-administration.ts'
import type { UserWithPassword } from '../people/user-administration.ts'
import { nameOf } from '../people/users.ts'
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
  const made = await workshop.people.create(workshop.tenant, {
    email,
    role: readRole(role),
    ...(name === undefined ? {} : { name }),
  })
  terminal.print(json === true ? asJson(made) : withPassword('is made', made))
}

async function list({ workshop, terminal }: Bench, { json }: JsonOption): Promise<void> {
  const items = await workshop.people.list(workshop.tenant)
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

async function setRole(
  { workshop, terminal }: Bench,
  { who, role }: { readonly who: string; readonly role: string },
  { json }: JsonOption,
): Promise<void> {
  const { id } = await findPerson(workshop, who)
  const user = await workshop.people.setRole(workshop.tenant, id, readRole(role))
  terminal.print(json === true ? JSON.stringify(user) : `${nameOf(user)} is now: ${user.role}.`)
}

async function reset(
  { workshop, terminal }: Bench,
  who: string,
  { json }: JsonOption,
): Promise<void> {
  const { id } = await findPerson(workshop, who)
  const made = await workshop.people.resetPassword(workshop.tenant, id)
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
