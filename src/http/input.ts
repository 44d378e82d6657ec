// The body of a call as its row wants it, or a refusal that says in our words which field is wrong and what to give instead.
import type { z } from 'zod'
import { Fault } from '../base/fault.ts'
import type { Route } from './route.ts'

/** Reads the body by the shape of the row. Throws Fault('unsupported_media_type' | 'invalid_input'). */
export function readInput(row: Pick<Route, 'input'>, request: Request, body: string): unknown {
  if (row.input === undefined) return undefined
  if (!isJson(request)) {
    throw new Fault('unsupported_media_type', { because: 'this call takes application/json' })
  }
  const given = parseJson(body)
  const parsed = row.input.safeParse(given)
  if (parsed.success) return parsed.data
  const detail = detailOf(parsed.error.issues, given)
  throw new Fault('invalid_input', { because: 'the input does not have the right shape', detail })
}

/** Says that its body is JSON (RFC 8259 §11). */
export function isJson({ headers }: Request): boolean {
  return /^application\/json\b/i.test(headers.get('content-type') ?? '')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text, refuseNul)
  } catch (cause) {
    throw new Fault('invalid_input', {
      because: 'the body is not JSON, or holds a NUL',
      cause,
      detail: { body: 'Send JSON that holds no NUL.' },
    })
  }
}

/** Postgres cannot store a NUL in a text, so no input of ours has one. */
function refuseNul(name: string, value: unknown): unknown {
  if (typeof value !== 'string' || !value.includes('\0')) return value
  throw new Error(`${JSON.stringify(name)} holds a NUL`)
}

type Issue = z.core.$ZodIssue

const fieldsToldMax = 50

/** What is wrong, by the path of the field. */
function detailOf(issues: readonly Issue[], given: unknown): Readonly<Record<string, string>> {
  const told = issues.flatMap((issue) => wrongFields(issue, given)).slice(0, fieldsToldMax)
  return Object.fromEntries(told.map(({ path, words }) => [path.join('.') || 'body', words]))
}

interface WrongField {
  readonly path: readonly PropertyKey[]
  readonly words: string
}

function wrongFields(issue: Issue, given: unknown): readonly WrongField[] {
  const { path } = issue
  if (issue.code !== 'unrecognized_keys') return [{ path, words: wordsFor(issue, given) }]
  return issue.keys.map((key) => ({ path: [...path, key], words: 'There is no such field here.' }))
}

function wordsFor(issue: Issue, given: unknown): string {
  if (issue.path.length > 0 && isMissing(given, issue.path)) return 'This is needed.'
  switch (issue.code) {
    case 'invalid_type':
      return `Give ${nouns[issue.expected] ?? 'something else'} here.`
    case 'invalid_value':
      return `Use one of ${issue.values.map(String).join(', ')}.`
    case 'too_small':
      return tooSmall(issue)
    case 'too_big':
      return tooBig(issue)
    case 'invalid_format':
      return issue.format === 'url' ? wholeAddress : 'This cannot be used here.'
    default:
      return 'This cannot be used here.'
  }
}

const wholeAddress = 'Use a whole address, such as https://example.com/.'

function isMissing(given: unknown, path: readonly PropertyKey[]): boolean {
  let value = given
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return true
    value = (value as Readonly<Record<PropertyKey, unknown>>)[name] // an object has names
  }
  return false
}

const nouns: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
}

/** What is counted, by what it is counted in; a number is not counted but compared. */
const units: Readonly<Record<string, string>> = { string: 'characters', array: 'entries' }

function tooSmall({ origin, minimum, inclusive }: z.core.$ZodIssueTooSmall): string {
  const unit = units[origin]
  if (unit === undefined) return `Use a number ${inclusive === false ? 'over' : 'from'} ${minimum}.`
  return Number(minimum) === 1 ? 'Do not leave this empty.' : `Use at least ${minimum} ${unit}.`
}

function tooBig({ origin, maximum }: z.core.$ZodIssueTooBig): string {
  const unit = units[origin]
  return unit === undefined ? `Use a number up to ${maximum}.` : `Use at most ${maximum} ${unit}.`
}
