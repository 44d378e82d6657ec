// What stands below a page of the journal: how far it looked back, the way on, and the way to the newest.
import { html } from 'hono/html'
import type { FoundEntries } from '../../journal/search.ts'
import type { Html } from './layout.ts'
import { when } from './when.ts'
import { words as allWords } from './words.ts'

const words = allWords.journal

interface Ways {
  /** Where a page begins; without a cursor the newest one. */
  readonly hrefOf: (cursor?: string) => string
  readonly isFirst: boolean
}

/** The note and the buttons. */
export function furtherBack(
  { nextCursor, lookedBackTo }: Pick<FoundEntries, 'nextCursor' | 'lookedBackTo'>,
  { hrefOf, isFirst }: Ways,
): Html {
  return html`${
      lookedBackTo === undefined
        ? ''
        : html`<p class="quiet">${words.lookedBackTo} ${when(lookedBackTo)}. ${words.mayBeMore}</p>`
    }
    <p class="buttons">
      ${
        nextCursor === undefined
          ? ''
          : html`<a class="button" href="${hrefOf(nextCursor)}"
              >${lookedBackTo === undefined ? words.older : words.lookFurther}</a
            >`
      }
      ${isFirst ? '' : html`<a class="button" href="${hrefOf()}">${words.newest}</a>`}
    </p>`
}
