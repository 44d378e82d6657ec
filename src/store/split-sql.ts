// Splits the text of a migration into its statements: a `;` ends one unless it stands in a string, a quoted name, a
// comment or a dollar-quoted body. Triggers, whose bodies hold bare `;`, are not in the portable subset.

// One alternative per thing that may hold a `;`, each ending where the thing ends or with the text.
const piece =
  /'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|(?<dollar>\$\w*\$)[\s\S]*?(?:\k<dollar>|$)|;|[^'"\-/$;]+|[\s\S]/g

/** The statements of a migration file, without comments around them and without empty ones. */
export function splitSql(text: string): readonly string[] {
  const statements: string[] = []
  let statement = ''
  for (const [part] of text.matchAll(piece)) {
    if (isComment(part)) {
      statement += ' '
      continue
    }
    if (part !== ';') {
      statement += part
      continue
    }
    statements.push(statement.trim())
    statement = ''
  }
  return [...statements, statement.trim()].filter((sql) => sql !== '')
}

function isComment(part: string): boolean {
  return part.startsWith('--') || part.startsWith('/*')
}
