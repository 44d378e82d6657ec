// Text that a stranger wrote, made fit to be shown or sent on. Escaping for HTML stays with the pages.

/** The most code points a name keeps on a page. */
export const displayNameCodePointsMax = 64
/** The most characters of somebody else's error text that are kept. */
export const errorDescriptionCharsMax = 500

const rawTextCharsMax = 8192

/** A one-line name without control, bidirectional or unassigned characters; undefined when nothing is left. */
export function displayName(text: string): string | undefined {
  const line = text.slice(0, rawTextCharsMax).replace(/\s/gu, ' ')
  const visible = line.replace(/\p{C}/gu, '').replace(/ +/g, ' ').trim()
  const name = Array.from(visible).slice(0, displayNameCodePointsMax).join('').trim()
  return name === '' ? undefined : name
}

/** An `error_description` in the characters that RFC 6749 §5.2 allows; anything else becomes a question mark. */
export function errorDescription(text: string): string {
  return text
    .slice(0, errorDescriptionCharsMax)
    .replaceAll('"', "'")
    .replaceAll('\\', '/')
    .replace(/[^\x20-\x21\x23-\x5B\x5D-\x7E]/g, '?')
}
