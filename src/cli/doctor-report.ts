// The report of `latchkey doctor`, as text for people.
import { menders, subjects } from './doctor-finding.ts'
import type { Finding, Subject } from './doctor-finding.ts'
import { printable } from './terminal.ts'
import type { Report } from './doctor-visit.ts'

const marks = { right: '✓', note: '!', wrong: '✗' } as const

/** A visit: what was found, how a sign-in ends, and the address that a browser would open. */
export function textOf({ url, findings, ending }: Report): string {
  const address = ending.kind === 'sign_in' ? `\n\n  ${ending.authorizationUrl}` : ''
  return `${url}\n\n${reportOf(findings)}\n\n${oneLine(ending.words)}${address}`
}

/** One line for each finding under its subject; a clause in brackets, and below it who can mend it. */
export function reportOf(findings: readonly Finding[]): string {
  const names = Object.keys(subjects) as Subject[] // its own keys
  return names
    .map((name) => ({ name, ofIt: findings.filter(({ about }) => about === name) }))
    .filter(({ ofIt }) => ofIt.length > 0)
    .map(({ name, ofIt }) => [subjects[name], ...ofIt.flatMap(linesOf)].join('\n'))
    .join('\n\n')
}

function linesOf({ verdict, words, clause, mend }: Finding): readonly string[] {
  const source = clause === undefined ? '' : ` (${clause})`
  const line = `  ${marks[verdict]} ${oneLine(words)}${source}`
  return mend === undefined ? [line] : [line, `    ${menders[mend.by]}: ${oneLine(mend.how)}`]
}

const charsMax = 600

/** What strangers publish is in the words: it makes no line of its own, and no screen full. */
function oneLine(words: string): string {
  const flat = printable(words).replaceAll(/\s+/g, ' ')
  return flat.length <= charsMax ? flat : `${flat.slice(0, charsMax)}…`
}
