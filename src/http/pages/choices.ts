// The ways to look at what a page tells, as links of which one is chosen.
import { html } from 'hono/html'
import type { Html } from './layout.ts'

interface Choice {
  readonly text: string
  readonly href: string
  readonly isChosen: boolean
}

/** The links, in their order; the label says what they choose. */
export function choices(label: string, offered: readonly Choice[]): Html {
  return html`<nav class="choices" aria-label="${label}">
    ${offered.map(({ text, href, isChosen }) =>
      isChosen
        ? html`<a href="${href}" aria-current="true">${text}</a>`
        : html`<a href="${href}">${text}</a>`,
    )}
  </nav>`
}
