// What did not work, said on the page that it did not work on.
import { html } from 'hono/html'
import { faultCatalogue, isFault } from '../../base/fault.ts'
import type { Fault } from '../../base/fault.ts'
import type { Html } from './layout.ts'

/** A refusal in words: what is wrong with each field if that is known, else what the catalogue says. */
export function problemOf({ code, detail }: Fault): string {
  return Object.values(detail ?? {}).join(' ') || faultCatalogue[code].words
}

/** What did not work, and the status of the page that says so. */
export interface Problem {
  readonly words: string
  readonly status: 404 | 409 | 422
}

/** What whoever sent the form can mend. What they cannot is thrown on. */
export function problemIn(thrown: unknown): Problem {
  if (!isFault(thrown) || thrown.code === 'bad_form') throw thrown
  const { status } = faultCatalogue[thrown.code]
  if (status === 500) throw thrown
  return { words: problemOf(thrown), status: status === 404 || status === 409 ? status : 422 }
}

/** The words above a form that was sent in vain; nothing where there was no problem. */
export function problemNote(problem: string | undefined): Html {
  return problem === undefined ? html`` : html`<p class="warning" role="alert">${problem}</p>`
}

/** A refusal for the page on which somebody asked. */
export interface Refusal {
  readonly problem: string
  readonly status: number
}

const told: ReadonlySet<string> = new Set(['invalid_input', 'conflict', 'not_found', 'forbidden'])

/** What an administrator can understand and mend, in words; whatever else went wrong is thrown on. */
export function refusalOf(thrown: unknown): Refusal {
  if (!isFault(thrown) || !told.has(thrown.code)) throw thrown
  return { problem: problemOf(thrown), status: faultCatalogue[thrown.code].status }
}
