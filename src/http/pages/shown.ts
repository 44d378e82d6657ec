// Names and facts as pages show them: people and programs write them, and some write a book.

const nameCharsMax = 80

/** The beginning of a text that is longer than a page has room for. */
export function short(text: string, most = nameCharsMax): string {
  return text.length <= most ? text : `${text.slice(0, most).toWellFormed()}…`
}
