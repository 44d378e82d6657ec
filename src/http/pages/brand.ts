// How a tenant's pages show whose they are: its name, its colour and whom to ask. Nothing is loaded from elsewhere.
import { html } from 'hono/html'
import type { Tenant } from '../../people/tenants.ts'
import { pathIn } from '../place.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'
import { accentFor } from './accent.ts'
import { words } from './words.ts'

const path = '/assets/brand.css'

/** The row of a tenant's own style sheet. */
export const brandRoute: Route = route({
  method: 'GET',
  path,
  guard: 'open',
  surface: 'page',
  words: 'The colour of this tenant.',
  run: async ({ tenant }) =>
    new Response(styleOf(tenant), {
      headers: {
        'content-type': 'text/css; charset=utf-8',
        'cache-control': 'public, max-age=300',
        'x-content-type-options': 'nosniff',
      },
    }),
})

function styleOf({ branding }: Tenant): string {
  if (branding?.accent === undefined) return ''
  const { light, dark } = accentFor(branding.accent)
  const rule = ({ accent, ink }: typeof light) => `:root{--accent:${accent};--accent-ink:${ink}}`
  return `${rule(light)}@media (prefers-color-scheme:dark){${rule(dark)}}`
}

/** Its link, where there is a colour. */
export function brandLink(tenant: Tenant | undefined): ReturnType<typeof html> {
  if (tenant?.branding?.accent === undefined) return html``
  return html`<link rel="stylesheet" href="${pathIn(tenant, path)}" />`
}

/** Whose pages these are. */
export function brandName(tenant: Tenant | undefined): string {
  return tenant?.name ?? 'Latchkey'
}

/** Whom to ask, where the tenant says so. */
export function brandFooter(tenant: Tenant | undefined): ReturnType<typeof html> {
  const contact = tenant?.branding?.supportContact
  if (contact === undefined) return html``
  const href =
    contact.includes('@') && !contact.startsWith('https:') ? `mailto:${contact}` : contact
  return html`<footer class="foot quiet">
    ${words.brand.help} <a href="${href}"><bdi>${contact}</bdi></a>
  </footer>`
}
