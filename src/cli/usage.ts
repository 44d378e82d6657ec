// `latchkey usage`: how the authorization server is used, in numbers (seed 003's monitoring and audit queries).
import type { Command } from 'commander'
import { usageDays, usageDaysOf, usageKindOf, usageKinds } from '../workshop.ts'
import type { Workshop } from '../workshop.ts'
import { table } from './terminal.ts'
import { atTheBench } from './workshop.ts'
import type { Bench } from './workshop.ts'

interface Options {
  readonly json?: boolean
  readonly by?: string
  readonly days?: string
}

type Report = Awaited<ReturnType<Workshop['usage']['report']>>
type UsageKind = (typeof usageKinds)[number]
type UsedThing = Awaited<ReturnType<Workshop['callUsage']>>['items'][number]

/** Adds the command. */
export function addUsage(program: Command): void {
  program
    .command('usage')
    .description('tokens, clients, failures and table sizes, in numbers')
    .option('--by <kind>', `calls through the gateway instead, by ${usageKinds.join(', ')}`)
    .option('--days <number>', `of how many days, at most ${usageDays.most}`)
    .option('--json', 'as JSON')
    .action((options: Options) => atTheBench((bench) => printUsage(bench, options)))
}

/** Prints the numbers of the tenant. */
export async function printUsage(bench: Bench, options: Options): Promise<void> {
  const { workshop, terminal } = bench
  const { json, by, days } = options
  if (by !== undefined) return printCalls(bench, { by: readKind(by), days: readDays(days), json })
  if (days !== undefined) throw new Error('Say --by with --days: only calls are told by days.')
  const report = await workshop.usage.report(workshop.tenant.id)
  if (json === true) return terminal.print(JSON.stringify(report))
  for (const { title, rows } of sectionsOf(report)) {
    if (rows.length > 0) terminal.print(`${title}\n${table(rows)}\n`)
  }
}

interface Section {
  readonly title: string
  readonly rows: readonly (readonly string[])[]
}

function sectionsOf(report: Report): readonly Section[] {
  const { tokensPerClient, troubledClients, tokensPerDay, refusals, tableRows } = report
  return [
    {
      title: 'Now:',
      rows: [
        line(report.activeTokens, 'tokens that work'),
        line(report.activeClients, 'clients that have one'),
        line(report.expiredTokens, 'expired tokens that are yet to be swept'),
        line(report.failedAuthorizations, 'authorizations that failed in thirty days'),
        line(report.journalEntriesLastDay, 'journal entries in the last day'),
      ],
    },
    {
      title: 'Tokens per client:',
      rows: tokensPerClient.map(({ tokens, name, clientId }) =>
        line(tokens, `${name} (${clientId})`),
      ),
    },
    {
      title: 'Clients with more than a hundred expired codes or failed attempts:',
      rows: troubledClients.map(({ expiredCodes, failedAttempts, name, clientId }) =>
        line(
          expiredCodes + failedAttempts,
          `${name ?? '?'} (${clientId}): ${expiredCodes} codes, ${failedAttempts} attempts`,
        ),
      ),
    },
    {
      title: 'Refused in thirty days:',
      rows: refusals.map(({ count, type, error }) => line(count, `${type}: ${error}`)),
    },
    {
      title: 'Tokens given out per day:',
      rows: tokensPerDay
        .filter(({ tokens }) => tokens > 0)
        .map(({ tokens, day }) => line(tokens, day)),
    },
    {
      title: 'Rows per table:',
      rows: Object.entries(tableRows).map(([name, rows]) => line(rows, name)),
    },
  ]
}

function line(count: number, words: string): readonly string[] {
  return [`${count}`.padStart(8), words]
}

async function printCalls(
  { workshop, terminal }: Bench,
  {
    by,
    days,
    json,
  }: { readonly by: UsageKind; readonly days: number; readonly json?: boolean | undefined },
): Promise<void> {
  const used = await workshop.callUsage(workshop.tenant.id, { by, days })
  if (json === true) return terminal.print(JSON.stringify(used))
  if (used.items.length === 0) return terminal.print(`No calls from ${used.from} to ${used.to}.`)
  const head = ['CALLS', 'FAILED', 'REFUSED', 'MEAN MS', by.toUpperCase()]
  const rows = used.items.map((thing) => [
    `${thing.calls}`,
    `${thing.failed}`,
    `${thing.refused}`,
    `${thing.meanMs}`,
    titleOf(thing),
  ])
  terminal.print(table([head, ...rows]))
}

function titleOf({ id, name, tool }: Pick<UsedThing, 'id' | 'name' | 'tool'>): string {
  const title = name ?? id ?? '(programs)'
  return tool === undefined ? title : `${tool} of ${title}`
}

function readKind(text: string): UsageKind {
  const kind = usageKindOf(text)
  if (kind !== undefined) return kind
  throw new Error(`--by is one of ${usageKinds.join(', ')}.`)
}

function readDays(text: string | undefined): number {
  const days = text === undefined ? usageDays.usual : usageDaysOf(text)
  if (days !== undefined) return days
  throw new Error(`--days is a number from 1 to ${usageDays.most}.`)
}
