// What may be said about a scope: checks of what an administrator enters, without a database.
import { Fault } from '../base/fault.ts'
import { holdsSecret } from '../journal/no-secrets.ts'
import { isScopeToken } from '../oauth/scope.ts'

/** A scope as an administrator describes it. */
export interface ScopeInput {
  readonly words: string
  readonly icon: string
  readonly isUsual: boolean
  readonly includes: readonly string[]
}

export const nameCharsMax = 100
export const wordsCharsMax = 200
const includesMax = 50
const iconCodePointsMax = 16

/** A name of RFC 6749 §3.3. Throws Fault('invalid_input'). */
export function checkScopeName(name: string): string {
  if (name === 'offline_access') {
    throw invalid('name', 'This word has a meaning of its own in OpenID Connect.')
  }
  const isName = isScopeToken(name) && name.length <= nameCharsMax
  if (isName && !holdsSecret(name)) return name
  throw invalid('name', `Use at most ${nameCharsMax} visible characters without quotes.`)
}

/** The parts that are there, fit to be kept. Throws Fault('invalid_input'). */
export function checkScopeInput(input: Partial<ScopeInput>): Partial<ScopeInput> {
  const { words, icon, isUsual, includes } = input
  return {
    ...(words === undefined ? {} : { words: checkWords(words) }),
    ...(icon === undefined ? {} : { icon: checkIcon(icon) }),
    ...(isUsual === undefined ? {} : { isUsual }),
    ...(includes === undefined ? {} : { includes: checkIncludes(includes) }),
  }
}

// Characters that hide, break a line or turn the direction of what stands beside them could make a question lie.
const trickyText = /[\p{C}\p{Zl}\p{Zp}]/u

function checkWords(given: string): string {
  const words = given.trim()
  if (words !== '' && words.length <= wordsCharsMax && !trickyText.test(words)) return words
  throw invalid('words', `Say in one line of at most ${wordsCharsMax} characters what it permits.`)
}

// A joiner and the tags of flags belong to one picture; nothing else that is invisible does.
const trickyIcon = /[\p{Cc}\p{Cn}\p{Co}\p{Cs}\p{Z}\p{Bidi_Control}]/u
const visible = /[\p{L}\p{N}\p{P}\p{S}]/u
const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' })

function checkIcon(icon: string): string {
  const isShort = Array.from(icon).length <= iconCodePointsMax
  const isOne = isShort && Array.from(segmenter.segment(icon)).length === 1
  if (isOne && visible.test(icon) && !trickyIcon.test(icon)) return icon
  throw invalid('icon', 'Use one character, such as an emoji.')
}

function checkIncludes(includes: readonly string[]): readonly string[] {
  if (includes.length <= includesMax) return [...new Set(includes)]
  throw invalid('includes', `Name at most ${includesMax} scopes.`)
}

/** Refuses one field, in words for the caller. */
export function invalid(field: string, words: string): Fault {
  return new Fault('invalid_input', {
    because: `the field ${field} of a scope cannot be used`,
    detail: { [field]: words },
  })
}
