// What `latchkey doctor` says about one thing: right, worth knowing, or wrong; against which clause, and who can mend it.

/** In the order in which they are said. */
export const subjects = {
  settings: 'The settings',
  storage: 'The database and its keys',
  address: 'The address',
  challenge: 'What it answers without a token',
  resource: 'What it says about itself',
  provider: 'The authorization server',
  client: 'Latchkey as a client there',
  scopes: 'Scopes',
} as const
export type Subject = keyof typeof subjects

/** Who can mend it: whoever runs the server, whoever runs its authorization server, or whoever runs this Latchkey. */
export const menders = {
  server: 'The server’s operator',
  provider: 'The provider',
  administrator: 'You',
} as const
export type Mender = keyof typeof menders

export interface Finding {
  readonly about: Subject
  /** Stable, for programs. */
  readonly code: string
  readonly verdict: 'right' | 'note' | 'wrong'
  readonly words: string
  readonly clause?: string
  readonly mend?: { readonly by: Mender; readonly how: string }
  /** Nobody gets any further than this. */
  readonly stops?: true
}

type Words = Pick<Finding, 'about' | 'code' | 'words' | 'clause'>

/** Is as it should be. */
export function right(words: Words): Finding {
  return { verdict: 'right', ...words }
}

/** Is no mistake, but worth knowing. */
export function note(words: Words & Pick<Finding, 'mend'>): Finding {
  return { verdict: 'note', ...words }
}

/** Breaks a clause, or cannot work. */
export function wrong(words: Words & Required<Pick<Finding, 'mend'>>): Finding {
  return { verdict: 'wrong', ...words }
}

/** The same, and nothing goes on from here. */
export function stopping(finding: Finding): Finding {
  return { ...finding, stops: true }
}
