// `latchkey apply`: makes the tenants of a `latchkey.yaml` so. Says first what it would do, asks, and then does that; a second
// time there is nothing to do. Links and passwords are printed once, when they are made.
import type { Command } from 'commander'
import { settingsPath } from '../config.ts'
import { readWanted } from './apply-file.ts'
import { makePlan } from './apply-plan.ts'
import type { ApplyBench, Made, PlanOptions, Step } from './apply-plan.ts'
import { table } from './terminal.ts'
import { atTheBench } from './workshop.ts'
import type { Bench } from './workshop.ts'

interface Options extends PlanOptions {
  readonly file?: string
  readonly yes?: boolean
  readonly dryRun?: boolean
  readonly json?: boolean
}

/** Adds the command. */
export function addApply(program: Command): void {
  program
    .command('apply')
    .description('make the tenants of a latchkey.yaml so; says first what it would do')
    .option('-f, --file <file>', 'the file; the one with the settings unless said')
    .option('--prune', 'remove tenants, and servers of listed tenants, that are not in it')
    .option('--secrets', 'write secrets again, which cannot be compared with what is there')
    .option('--dry-run', 'only say what it would do')
    .option('--yes', 'without a question')
    .option('--json', 'as JSON')
    .action((options: Options) =>
      atTheBench((bench) => apply({ ...bench, environment: process.env }, options)),
    )
}

/** Does what the file wants. Throws an Error in plain words. */
export async function apply(bench: ApplyBench, options: Options): Promise<void> {
  const { terminal, environment } = bench
  const { json, dryRun } = options
  const own = settingsPath(environment)
  const { file = own } = options
  const wanted = readWanted(file, { isSettings: file === own })
  const plan = await makePlan(bench, wanted, options)
  const due = plan.filter(({ action }) => action !== 'keep')
  if (json !== true) terminal.print(wordsOfPlan(plan, due.length))
  const isApplied = dryRun !== true && due.length > 0
  if (isApplied && options.yes !== true) await requireYes(bench, json === true)
  const made = isApplied ? await runAll(bench, due, json === true) : []
  if (json !== true) return
  const shown = plan.map(({ run: _run, ...step }) => step)
  terminal.print(JSON.stringify({ plan: shown, applied: isApplied, made }))
}

function wordsOfPlan(plan: readonly Step[], due: number): string {
  const rows = plan.map(({ action, kind, tenant, name, changed = [] }) => [
    action,
    kind,
    kind === 'tenant' ? name : `${tenant} / ${name}`,
    changed.join(', '),
  ])
  const end = due === 0 ? 'There is nothing to change.' : `${due} of these to do.`
  return [...(rows.length === 0 ? [] : [table(rows), '']), end].join('\n')
}

async function requireYes({ terminal }: Bench, isForScripts: boolean): Promise<void> {
  if (isForScripts || !terminal.isInteractive) throw new Error('Say --yes to do this.')
  const answer = await terminal.ask('Do this? Type yes')
  if (answer !== 'yes') throw new Error('Nothing was changed.')
}

/** What was made is told at once: a later step may fail, and none of it is shown again. */
async function runAll(
  { terminal }: Bench,
  steps: readonly Step[],
  isForScripts: boolean,
): Promise<readonly Made[]> {
  const all: Made[] = []
  for (const { kind, tenant, name, run } of steps) {
    try {
      const made = await run()
      if (made === undefined) continue
      all.push(made)
      if (!isForScripts) terminal.print(wordsOfMade(made))
    } catch (thrown) {
      // A script gets its JSON only at the end, so what was made before goes out now.
      if (isForScripts && all.length > 0) terminal.print(JSON.stringify({ made: all }))
      terminal.note(`This stopped at the ${kind} ${name} of ${tenant}; what was done before stays.`)
      throw thrown
    }
  }
  if (!isForScripts) terminal.print('Done.')
  return all
}

function wordsOfMade({ tenant, setupUrl, email, password }: Made): string {
  if (setupUrl !== undefined) {
    return `The first administrator of ${tenant} makes themselves with this link, which works once:\n\n  ${setupUrl}\n`
  }
  return `${email} administers ${tenant}. Password, shown only this once:\n\n  ${password}\n`
}
