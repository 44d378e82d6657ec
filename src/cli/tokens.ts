// `latchkey tokens …`: says what a secret that somebody found is worth, and ends it. The secret comes in through a pipe or
// a prompt, never as a word of the command, and is never printed.
import type { Command } from 'commander'
import type { InspectedToken } from '../issuer/token-inspection.ts'
import { readSecret } from './secret-input.ts'
import { day, table, whenMissing } from './terminal.ts'
import { atTheBench } from './workshop.ts'
import type { Bench } from './workshop.ts'

interface JsonOption {
  readonly json?: boolean
}

/** Adds the commands. */
export function addTokens(program: Command): void {
  const tokens = program
    .command('tokens')
    .description('what a token, code, secret or key is worth; it is read from a pipe or a prompt')
  tokens
    .command('inspect')
    .description('say what it is, whose, what it is for, and whether it is alive')
    .argument('[words...]')
    .option('--json', 'as JSON')
    .action(async (given: readonly string[], options: JsonOption) => {
      refuseWords(given)
      await atTheBench((bench) => inspect(bench, options))
    })
  tokens
    .command('revoke')
    .description('end it; a refresh token or a code ends with everything else of its grant')
    .argument('[words...]')
    .option('--grant <id>', 'end the grant with this id instead: grt_…')
    .option('--json', 'as JSON')
    .action(async (given: readonly string[], options: JsonOption & { grant?: string }) => {
      refuseWords(given)
      const { grant } = options
      await atTheBench((bench) =>
        grant === undefined ? revoke(bench, options) : revokeGrant(bench, grant, options),
      )
    })
}

/** Every program on a machine can read the words of every command, and shells keep them. */
function refuseWords(given: readonly string[]): void {
  if (given.length === 0) return
  throw new Error(
    'Do not write a token as a word of the command: others on this machine can see it, and the shell keeps it. ' +
      'Pipe it in ("latchkey tokens inspect < file"), or give no word and you are asked. ' +
      'The one you wrote may have been seen, so revoke it.',
  )
}

/** Reads a secret and prints what it is. Ends with 1 for what is none of ours. */
async function inspect({ workshop, terminal }: Bench, { json }: JsonOption): Promise<void> {
  const secret = await readSecret()
  if (secret === undefined) return terminal.print('Cancelled.')
  const token = await workshop.issuer.tokens.inspect(workshop.tenant, secret)
  if (token === undefined) return unknown({ terminal }, { json: json === true })
  if (json === true) return terminal.print(JSON.stringify(toJson(token)))
  terminal.print(describe(token))
}

/** Reads a secret and ends it. */
async function revoke({ workshop, terminal }: Bench, { json }: JsonOption): Promise<void> {
  const secret = await readSecret()
  if (secret === undefined) return terminal.print('Cancelled. Nothing was revoked.')
  const found = await workshop.issuer.tokens.end(workshop.tenant, secret)
  if (found === undefined) return unknown({ terminal }, { json: json === true })
  const { token, ended } = found
  if (json === true) return terminal.print(JSON.stringify({ ...toJson(token), ended }))
  const what = kinds[token.kind]
  terminal.print(ended ? `${endings[token.kind]} (${nameOf(token)})` : `This ${what} had ended.`)
}

/** Ends a grant by its id. */
async function revokeGrant(
  { workshop, terminal }: Bench,
  id: string,
  { json }: JsonOption,
): Promise<void> {
  const { ended } = await workshop.issuer.tokens
    .endGrant(workshop.tenant, id)
    .catch(whenMissing('There is no such grant here. "latchkey tokens inspect" tells a token’s.'))
  if (json === true) return terminal.print(JSON.stringify({ grantId: id, ended }))
  terminal.print(ended ? `The grant ${id} has ended, with all its tokens.` : `${id} had ended.`)
}

/** Says so; not an error of ours, but nothing was found. */
function unknown(
  { terminal }: Pick<Bench, 'terminal'>,
  { json }: { readonly json: boolean },
): void {
  process.exitCode = 1
  const words = 'This is no token, code, secret or key of this Latchkey, or it is over and swept.'
  terminal.print(json ? JSON.stringify({ kind: 'unknown' }) : words)
}

const kinds = {
  access_token: 'access token',
  refresh_token: 'refresh token',
  code: 'authorization code',
  client_secret: 'client secret',
  api_key: 'API key',
} as const

const endings = {
  access_token: 'The access token has ended. Its grant lives on',
  refresh_token: 'The grant of the refresh token has ended, with all its tokens',
  code: 'The grant of the code has ended, with all its tokens',
  client_secret: 'The client secret has ended',
  api_key: 'The API key has ended',
} as const

const reasons = {
  revoked: 'no: it was revoked',
  spent: 'no: it was used',
  expired: 'no: it has expired',
  grant_ended: 'no: its grant has ended',
  client_disabled: 'no: its client is off',
  user_disabled: 'no: its person is off',
  origin_ended: 'no: the token that it was exchanged for has ended',
} as const

function toJson({ endedBy, ...token }: InspectedToken) {
  return { ...token, alive: endedBy === undefined, ...(endedBy === undefined ? {} : { endedBy }) }
}

function describe(token: InspectedToken): string {
  const { user, client, endedBy } = token
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['Kind', kinds[token.kind]],
    ['Alive', endedBy === undefined ? 'yes' : reasons[endedBy]],
    ['Person', user && (user.email === undefined ? user.id : `${user.email} (${user.id})`)],
    ['Client', client && `${client.name} (${client.id})`],
    ['Grant', token.grantId],
    ['Key', token.apiKeyId],
    ['For', token.resource],
    ['Scopes', token.scopes?.join(', ')],
    ['Made', moment(token.createdAt)],
    ['Last used', moment(token.lastUsedAt) ?? (usable.has(token.kind) ? 'never' : undefined)],
    ['Expires', moment(token.expiresAt)],
  ]
  return table(rows.flatMap(([label, value]) => (value === undefined ? [] : [[label, value]])))
}

/** Of the others nobody notes when they are used. */
const usable: ReadonlySet<InspectedToken['kind']> = new Set([
  'access_token',
  'refresh_token',
  'api_key',
])

function moment(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : `${day(ms)} UTC`
}

function nameOf({ grantId, client, apiKeyId }: InspectedToken): string {
  return grantId ?? apiKeyId ?? client?.id ?? ''
}
