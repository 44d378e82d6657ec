// The page that says that something did not work, and what to do next.
import { html } from 'hono/html'
import type { Tenant } from '../../people/tenants.ts'
import { pathIn } from '../place.ts'
import { page } from './layout.ts'

interface Problem {
  readonly tenant: Tenant | undefined
  readonly status: number
  readonly words: string
  readonly detail: Readonly<Record<string, string>> | undefined
}

/** Draws a refusal for people; nothing of what the request said is repeated except in escaped form. */
export function errorPage({ tenant, status, words, detail }: Problem): Promise<Response> {
  const hints = Object.values(detail ?? {})
  return page({
    tenant,
    title: status >= 500 ? 'Something went wrong' : 'This did not work',
    status,
    body: html`
      <section class="card narrow" data-status="${status}">
        <h1>${status >= 500 ? 'Something went wrong' : 'This did not work'}</h1>
        <p>${words}</p>
        ${hints.map((hint) => html`<p>${hint}</p>`)}
        <p class="quiet">
          You can close this page, or go to
          <a href="${pathIn(tenant, '/console/connections')}">your connections</a>.
        </p>
      </section>
    `,
  })
}
