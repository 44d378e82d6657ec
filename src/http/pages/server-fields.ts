// What the forms of a server's page say, in the words of the room that keeps servers. Pure, but for the look-up of people.
import { Fault } from '../../base/fault.ts'
import type { PublicServer, ServerInput, ToolPolicy, ToolScope } from '../../connectors/servers.ts'
import { roles } from '../../people/users.ts'
import type { User } from '../../people/users.ts'
import { words } from './words.ts'

type Change = Partial<ServerInput>

/** Only what is otherwise than before; an empty secret stays as it is. */
export function changeOf(server: PublicServer, fields: URLSearchParams): Change {
  const auth = fields.get('auth') ?? server.auth
  const isElsewhere = textIn(fields, 'url') !== server.url
  return {
    ...changedTexts(server, fields, ['name', 'slug', 'url']),
    ...(auth === server.auth ? {} : { auth: auth as ServerInput['auth'] }), // checked by the room
    ...(auth === 'headers' ? headersOf(server, fields) : {}),
    ...(auth === 'oauth' ? clientOf(server, fields, isElsewhere) : {}),
    ...(auth === 'provider' ? providerOf(server, fields) : {}),
  }
}

function changedTexts(
  server: PublicServer,
  fields: URLSearchParams,
  names: readonly ('name' | 'slug' | 'url')[],
): Change {
  const entered = names.map((name) => [name, textIn(fields, name)] as const)
  return Object.fromEntries(entered.filter(([name, text]) => text !== server[name]))
}

/** One header takes the place of all that are there. */
function headersOf({ headerNames }: PublicServer, fields: URLSearchParams): Change {
  const header = textIn(fields, 'header')
  const value = fields.get('value') ?? ''
  const isKept = value === '' && header === (headerNames[0] ?? '')
  return isKept || header === '' ? {} : { headers: { [header]: value } }
}

/** At another address the client that the form shows is named again; its secret has to be entered again. */
function clientOf(server: PublicServer, fields: URLSearchParams, isElsewhere: boolean): Change {
  const clientId = textIn(fields, 'clientId')
  const scopes = textIn(fields, 'scopes')
  const clientSecret = textIn(fields, 'clientSecret')
  const isSameClient = clientId === (server.clientId ?? '')
  if (clientId === '' && !isSameClient) throw unusable('clientId', words.server.change.clientStays)
  return {
    ...(isSameClient && (!isElsewhere || clientId === '') ? {} : { clientId }),
    ...(scopes === (server.scopes ?? '') ? {} : { scopes }),
    ...(clientSecret === '' ? {} : { clientSecret }),
  }
}

function providerOf(server: PublicServer, fields: URLSearchParams): Change {
  const providerId = textIn(fields, 'provider')
  return providerId === (server.providerId ?? '') ? {} : { providerId }
}

/** The policy that the form describes; null where it closes nothing. */
export function policyOf(fields: URLSearchParams): ToolPolicy | null {
  const readOnly = fields.get('readOnly') === 'on'
  const deny = linesIn(fields.get('deny'))
  const isNamed = fields.get('which') === 'named'
  if (!readOnly && deny.length === 0 && !isNamed) return null
  return {
    ...(isNamed ? { allow: linesIn(fields.get('allow')) } : {}),
    ...(deny.length === 0 ? {} : { deny }),
    ...(readOnly ? { readOnly } : {}),
  }
}

/** Each scope with the tools that stand beside it; one without a name is left out. */
export function toolScopesOf(fields: URLSearchParams): readonly ToolScope[] {
  const tools = fields.getAll('tools')
  return fields
    .getAll('scope')
    .map((scope, index) => ({ scope, tools: linesIn(tools[index] ?? '') }))
    .filter(({ scope }) => scope !== '')
}

/** The person with this id or address. */
export type FindPerson = (who: string) => Promise<Pick<User, 'id' | 'email'> | undefined>

/** Who may use it, as the room keeps it. Throws Fault('invalid_input') for somebody who is not here, or for nobody. */
export async function accessOf(
  fields: URLSearchParams,
  find: FindPerson,
): Promise<readonly string[]> {
  const who = fields.get('who')
  if (who === 'everybody') return []
  if (who !== 'named') return [adminRole]
  const named = linesIn(fields.get('people'))
  if (named.length === 0) throw unusable('mayUse', words.server.access.nobodyNamed)
  return Promise.all(
    named.map(async (name) => {
      const person = await find(name)
      if (person !== undefined) return person.id
      throw unusable('mayUse', `${words.server.access.unknown} “${name}”.`)
    }),
  )
}

/** The role that may use every server: a list that names it alone is for nobody else. */
const adminRole = 'admin'

/** The ids in a list; the rest are roles. */
export function peopleAmong(mayUse: readonly string[]): readonly string[] {
  return mayUse.filter((name) => roles.every((role) => role !== name))
}

/** Which of the three a list is. */
export function whoIn(mayUse: readonly string[] | undefined): 'everybody' | 'admins' | 'named' {
  if (mayUse === undefined || mayUse.includes(everyRole)) return 'everybody'
  return peopleAmong(mayUse).length === 0 ? 'admins' : 'named'
}

/** The role of everybody who is no more. */
const everyRole = 'user'

function unusable(field: keyof ServerInput, text: string): Fault {
  return new Fault('invalid_input', {
    because: `the field ${field} of the form cannot be used`,
    detail: { [field]: text },
  })
}

function linesIn(text: string | null): readonly string[] {
  const lines = (text ?? '').split(/\r\n|\n|\r/).map((line) => line.trim())
  return [...new Set(lines)].filter((line) => line !== '')
}

function textIn(fields: URLSearchParams, name: string): string {
  return (fields.get(name) ?? '').trim()
}
