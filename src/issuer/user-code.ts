// The code that a person carries from a device to a browser (RFC 8628 §6.1): eight letters that make no words and cannot
// be taken for each other. Owns making, writing and reading one; how often one may be wrong is in device-guesses.ts.
import type { Random } from '../base/random.ts'
import { Secret } from '../base/secret.ts'

const alphabet = 'BCDFGHJKLMNPQRSTVWXZ'
const lettersMax = 8
/** How many codes there are: about 2^34.6. */
export const userCodesMax = alphabet.length ** lettersMax

/** A new code, in its plain form: eight letters and nothing between them. */
export function makeUserCode(random: Random): Secret {
  let letters = ''
  while (letters.length < lettersMax) letters += letterOf(random.bytes(1)[0] ?? unfair)
  return new Secret(letters)
}

// 256 is no multiple of 20: what is left over at the end would make some letters likelier than others.
const unfair = Math.floor(256 / alphabet.length) * alphabet.length

function letterOf(byte: number): string {
  return byte < unfair ? alphabet.charAt(byte % alphabet.length) : ''
}

/** The code as people read it: `WDJB-MJHT`. */
export function showUserCode(code: Secret): string {
  const letters = code.reveal()
  return `${letters.slice(0, lettersMax / 2)}-${letters.slice(lettersMax / 2)}`
}

/** What a person typed: a code that may exist, or what they may have misread. */
export type UserCodeReading =
  | { readonly kind: 'code'; readonly code: Secret }
  | { readonly kind: 'misread'; readonly hint: string }

/** The most characters of an answer that are looked at. */
export const typedCharsMax = 64

/** Reads a typed code; case, spaces and dashes don't matter (RFC 8628 §6.1). */
export function readUserCode(typed: string): UserCodeReading {
  const plain = typed.slice(0, typedCharsMax).normalize('NFKC')
  const letters = plain.replaceAll(/[\s\p{C}\p{Pd}._]/gu, '').toUpperCase()
  if (letters === '') return misread('Type the code that your device shows.')
  const strange = [...new Set(letters)].filter((letter) => !alphabet.includes(letter))
  if (strange.length > 0) return misread(aboutStrange(strange))
  const { length } = letters
  if (length === lettersMax) return { kind: 'code', code: new Secret(letters) }
  return misread(
    `A code has ${lettersMax} letters, and this has ${length}. Look at your device again.`,
  )
}

/** What a sign that is in no code may be instead, as fonts draw it. */
const lookAlikes: Readonly<Record<string, string>> = {
  '0': 'Q or D',
  '1': 'L or J',
  '2': 'Z',
  '5': 'S',
  '6': 'G',
  '7': 'T',
  '8': 'B',
  '9': 'G',
  A: 'R',
  E: 'F',
  I: 'L or J',
  O: 'Q or D',
  U: 'V',
  Y: 'V or X',
}

const strangeShownMax = 3

function aboutStrange(strange: readonly string[]): string {
  const hints = strange.slice(0, strangeShownMax).map((letter) => {
    const alike = lookAlikes[letter]
    return alike === undefined ? `“${letter}” is in no code.` : `“${letter}” may be ${alike}.`
  })
  return ['A code has only consonants, no vowels, no Y and no digits.', ...hints].join(' ')
}

function misread(hint: string): UserCodeReading {
  return { kind: 'misread', hint }
}
