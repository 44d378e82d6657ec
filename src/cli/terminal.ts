// The place where a command speaks to a person: prints, and asks when somebody is there to answer.
import { createInterface } from 'node:readline/promises'
import { isFault } from '../base/fault.ts'

export interface Terminal {
  /** Is a person there to answer? */
  readonly isInteractive: boolean
  readonly print: (text: string) => void
  /** What is for a person only, beside an output that a script may take. */
  readonly note: (text: string) => void
  /** The answer without spaces around it; undefined when the person gives up (Ctrl-C, Ctrl-D). */
  readonly ask: (question: string) => Promise<string | undefined>
}

/** The terminal that this process runs in. */
export const terminal: Terminal = {
  isInteractive: process.stdin.isTTY && process.stdout.isTTY,
  print: (text) => console.log(printable(text)),
  note: (text) => console.error(printable(text)),
  ask: async (question) => {
    const lines = createInterface({ input: process.stdin, output: process.stdout })
    const givenUp = new Promise<undefined>((resolve) => {
      lines.once('SIGINT', () => resolve(undefined))
      lines.once('close', () => resolve(undefined))
    })
    try {
      const answer = await Promise.race([lines.question(`${question}: `), givenUp])
      if (answer === undefined) console.log()
      return answer?.trim()
    } finally {
      lines.close()
    }
  },
}

/** What was made of an answer. */
export type Answer<T> =
  | { readonly kind: 'usable'; readonly value: T }
  | { readonly kind: 'wrong'; readonly because: string }

const triesMax = 5

/** Asks again, with the reason, up to five times. Undefined when the person gives up; throws the last reason as an Error. */
export async function askUntilUsable<T>(
  { ask, print }: Pick<Terminal, 'ask' | 'print'>,
  question: string,
  read: (answer: string) => Promise<Answer<T>>,
): Promise<T | undefined> {
  for (let triesLeft = triesMax - 1; ; triesLeft -= 1) {
    const given = await ask(question)
    if (given === undefined) return undefined
    const answer = await read(given)
    if (answer.kind === 'usable') return answer.value
    if (triesLeft === 0) throw new Error(answer.because)
    print(answer.because)
  }
}

/** Names and reasons are often a stranger's words: without control characters they cannot command a terminal. */
export function printable(text: string): string {
  return text.replaceAll(/[^\P{Cc}\n\t]/gu, '\ufffd')
}

/** What to say of a failure: of a refusal also which field is wrong, or else why. */
export function wordsOf(thrown: unknown): string {
  if (!isFault(thrown)) {
    return thrown instanceof Error ? thrown.message : 'Something unexpected happened.'
  }
  const { message, because, detail } = thrown
  if (detail === undefined) return `${message} (${because})`
  const hints = Object.entries(detail).map(([field, hint]) => `  ${field}: ${hint}`)
  return [message, ...hints].join('\n')
}

/** The words of a list, with commas or spaces between them. */
export function splitList(text: string): readonly string[] {
  return text.split(/[\s,]+/).filter((word) => word !== '')
}

/** Lines of a table, the columns as wide as their widest cell; the last one is not filled up. */
export function table(rows: readonly (readonly string[])[]): string {
  const [head = []] = rows
  const widths = head.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/**
 * For a promise that a missing thing breaks: the catalogue's words for it are about addresses of pages, where a command
 * was given an id. What else went wrong is thrown on.
 */
export function whenMissing(words: string): (thrown: unknown) => never {
  return (thrown) => {
    if (!isFault(thrown) || thrown.code !== 'not_found') throw thrown
    throw new Error(words, { cause: thrown })
  }
}

/** A moment as people write it; a dash for one that has not come. */
export function day(ms: number | undefined): string {
  return ms === undefined ? '-' : new Date(ms).toISOString().slice(0, 16).replace('T', ' ')
}
