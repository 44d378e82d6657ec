// `latchkey attempts [id]`: the recent attempts of clients to connect, or one of them step by step with what went wrong.
import type { Command } from 'commander'
import type { Workshop } from '../workshop.ts'
import { day, table, whenMissing } from './terminal.ts'
import { atTheBench } from './workshop.ts'
import type { Bench } from './workshop.ts'

interface Options {
  readonly json?: boolean
}

type Reading = Awaited<ReturnType<Workshop['attempts']['read']>>
type Summary = Reading['attempt']
type Entry = Reading['items'][number]

/** Adds the command. */
export function addAttempts(program: Command): void {
  program
    .command('attempts [id]')
    .description('recent attempts of clients to connect; with an id, why that one failed')
    .option('--json', 'as JSON')
    .action((id: string | undefined, options: Options) =>
      atTheBench((bench) =>
        id === undefined ? listAttempts(bench, options) : showAttempt(bench, id, options),
      ),
    )
}

const shownMax = 50

/** Prints the recent attempts, newest first. */
export async function listAttempts(
  { workshop, terminal }: Bench,
  { json }: Options,
): Promise<void> {
  const page = await workshop.attempts.list(workshop.tenant.id, { limit: shownMax })
  if (json === true) return terminal.print(JSON.stringify(page))
  if (page.items.length === 0) return terminal.print('No client has tried to connect yet.')
  const head = ['WHEN (UTC)', 'ID', 'CLIENT', 'SERVER', 'PERSON', 'OUTCOME', 'REASON']
  terminal.print(table([head, ...page.items.map(rowOf)]))
  terminal.print('\n"latchkey attempts <id>" shows one step by step.')
}

function rowOf(summary: Summary): readonly string[] {
  const { id, latestAt, server, person, outcome, finding } = summary
  return [
    day(latestAt),
    id,
    clientOf(summary),
    server ?? '-',
    person?.email ?? person?.id ?? '-',
    outcome,
    finding ?? '',
  ]
}

function clientOf({ client, agent }: Summary): string {
  return client?.name ?? client?.id ?? agent ?? '-'
}

/** Prints one attempt: its time line, and what it means. */
export async function showAttempt(
  { workshop, terminal }: Bench,
  id: string,
  { json }: Options,
): Promise<void> {
  const reading = await workshop.attempts
    .read(workshop.tenant.id, id)
    .catch(whenMissing(`There is no attempt ${id}. "latchkey attempts" shows the recent ones.`))
  if (json === true) return terminal.print(JSON.stringify(reading))
  const { attempt, items, diagnosis } = reading
  const who = attempt.person?.email ?? attempt.person?.id ?? 'nobody yet'
  terminal.print(`${clientOf(attempt)} → ${attempt.server ?? '?'} for ${who}`)
  terminal.print(`${diagnosis.outcome.toUpperCase()}: ${diagnosis.summary}\n`)
  terminal.print(table(items.map((entry) => lineOf(entry, attempt.beganAt))))
  for (const finding of diagnosis.findings) {
    const { code, happened, next, clause, because } = finding
    terminal.print(`\n${code}${clause === undefined ? '' : ` (${clause})`}`)
    terminal.print(`  What happened: ${happened}`)
    if (because !== undefined) terminal.print(`  Written down:  ${because}`)
    terminal.print(`  What to do:    ${next}`)
  }
}

function lineOf({ at, type, data }: Entry, beganAt: number): readonly string[] {
  const after = `+${((at - beganAt) / 1000).toFixed(1)} s`
  return [day(at), after.padStart(9), type, factsOf(data)]
}

const factNames = [
  'document',
  'server',
  'method',
  'status',
  'error',
  'reason',
  'because',
  'resource',
  'agent',
] as const

function factsOf(data: Entry['data']): string {
  return factNames
    .flatMap((name) => (data[name] === undefined ? [] : [`${name}=${String(data[name])}`]))
    .join(' ')
}
