// The table that the benchmark prints: the median round of each server, and what it is to oidc-provider in the same run.
import { readFileSync, writeFileSync } from 'node:fs'
import { arch, cpus, totalmem, type } from 'node:os'
import { join } from 'node:path'
import { connectionCount } from './driver.ts'
import type { Measured } from './driver.ts'
import type { Subject } from './subjects.ts'

/** One round of one server. */
export interface Results {
  readonly subject: Subject
  readonly clientCredentials: Measured
  readonly introspection: Measured
  readonly refresh: Measured
}

const loads = ['clientCredentials', 'introspection', 'refresh'] as const
type LoadName = (typeof loads)[number]

const titles: Readonly<Record<LoadName, string>> = {
  clientCredentials: '`/oauth/token`, client credentials',
  introspection: '`/oauth/introspect`',
  refresh: '`/oauth/token`, refresh with rotation',
}

const yardstick = 'oidc-provider 9'

/** Writes the results as Markdown. */
export function formatReport(results: readonly Results[]): string {
  return [describeMachine(), ...loads.map((load) => tableOf(results, load))].join('\n\n')
}

const page = join(import.meta.dirname, '..', 'docs', 'performance.md')
const nextSection = '\n## '

/** Puts the report of a command under its mark in docs/performance.md, in place of what stands there up to the next section. */
export function writeReport(command: string, report: string): void {
  const mark = `<!-- what \`${command} -- --write\` measured last -->`
  const [words = '', rest] = readFileSync(page, 'utf8').split(mark)
  if (rest === undefined) throw new Error(`no place in ${page} for ${command}`)
  const end = rest.indexOf(nextSection)
  const after = end < 0 ? '' : rest.slice(end)
  writeFileSync(page, `${words}${mark}\n\n${report}\n${after}`)
}

/** On what and how it was measured. */
export function describeMachine(): string {
  const memory = Math.round(totalmem() / 2 ** 30)
  return [
    `${new Date().toISOString().slice(0, 10)} · ${cpus().length} cores, ${memory} GiB · ${type()} ${arch()} · Node ${process.version.slice(1)}`,
    `${connectionCount} connections, one request each at a time`,
  ].join('  \n')
}

function tableOf(results: readonly Results[], load: LoadName): string {
  const subjects = [...new Set(results.map(({ subject }) => subject))]
  const base = medianOf(results, yardstick, load).perSecond
  const rows = subjects.map(({ name, keeps }) => {
    const { perSecond, p50Ms, p99Ms } = medianOf(results, name, load)
    const ratio = (perSecond / base).toFixed(2)
    return `| ${name} | ${keeps} | ${Math.round(perSecond)} | **${ratio}** | ${p50Ms.toFixed(1)} | ${p99Ms.toFixed(1)} |`
  })
  return [
    `### ${titles[load]}`,
    '',
    `| server | keeps | requests/s | × ${yardstick} | p50 ms | p99 ms |`,
    '| --- | --- | ---: | ---: | ---: | ---: |',
    ...rows,
  ].join('\n')
}

/** The round in the middle, by its rate. */
function medianOf(results: readonly Results[], name: string, load: LoadName): Measured {
  const rounds = results
    .filter(({ subject }) => subject.name === name)
    .map((result) => result[load])
    .toSorted((a, b) => a.perSecond - b.perSecond)
  const middle = rounds[Math.floor(rounds.length / 2)]
  if (middle === undefined) throw new Error(`nothing was measured of ${name}`)
  return middle
}
