// The frame of every page: one style sheet, no script unless a page names one, and headers that let nobody frame it.
import { html } from 'hono/html'
import type { HtmlEscapedString } from 'hono/utils/html'
import type { Tenant } from '../../people/tenants.ts'
import { pathIn } from '../place.ts'
import { brandFooter, brandLink, brandName } from './brand.ts'
import { words } from './words.ts'

export type Html = HtmlEscapedString | Promise<HtmlEscapedString>

export interface Page {
  /** Whose page it is; undefined where that is nobody's. All links of a page lead to its own tenant. */
  readonly tenant: Tenant | undefined
  readonly title: string
  readonly body: Html
  readonly status?: number
  /** Who is signed in, for the header. */
  readonly signedInAs?: string | undefined
  /** Which page of the console this is; it then leads to the others. */
  readonly place?: Place
  /** A script of ours under /assets/ that makes the page nicer. */
  readonly script?: keyof typeof scripts
  /**
   * Where a form on this page may lead, redirects included: browsers check `form-action` at every hop. `anywhere` is for
   * forms that end at another party's sign-in page or callback, whose address is checked on our side.
   */
  readonly formsLeadTo?: 'here' | 'anywhere'
}

/** Our scripts, and whether they ask us anything. */
const scripts = {
  'callback.js': { asks: false },
  'connections.js': { asks: true },
  'copy.js': { asks: false },
  'providers.js': { asks: true },
} as const

/** A page of the console, and whether the person also sees those for administrators. */
export interface Place {
  readonly here: (typeof places)[keyof typeof places][number]
  readonly isAdmin: boolean
}

/** Draws a page. */
export async function page(content: Page): Promise<Response> {
  const { tenant, title, body, status = 200, signedInAs, script, place } = content
  const to = (path: string) => pathIn(tenant, path)
  const text = await html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} · ${brandName(tenant)}</title>
        <link rel="stylesheet" href="${to('/assets/console.css')}" />
        ${brandLink(tenant)}
        <link rel="icon" href="${to('/assets/icon.svg')}" type="image/svg+xml" />
        ${script === undefined ? '' : html`<script src="${to(`/assets/${script}`)}" defer></script>`}
      </head>
      <body>
        <header class="top">
          <a class="brand" href="${to('/console/connections')}"><bdi>${brandName(tenant)}</bdi></a>
          ${signedInAs === undefined ? '' : html`<span class="who">${signedInAs}</span>`}
        </header>
        ${place === undefined ? '' : navigation(tenant, place)}
        <main>${body}</main>
        ${brandFooter(tenant)}
      </body>
    </html>`
  return new Response(String(text), { status, headers: pageHeaders(content) })
}

/** The console's pages in the order in which they are shown: a person's own, and those of an administrator. */
const places = {
  own: ['connections', 'apps', 'connect', 'activity'],
  administration: [
    'servers',
    'people',
    'clients',
    'scopes',
    'providers',
    'api-keys',
    'webhooks',
    'support',
    'usage',
    'journal',
    'attempts',
  ],
} as const

function navigation(tenant: Tenant | undefined, { here, isAdmin }: Place): Html {
  const groups = isAdmin ? (['own', 'administration'] as const) : (['own'] as const)
  return html`${groups.map(
    (group) =>
      html`<nav class="places" aria-label="${words.places[group]}">
        ${places[group].map((name) => {
          const href = pathIn(tenant, `/console/${name}`)
          return name === here
            ? html`<a href="${href}" aria-current="page">${words.places[name]}</a>`
            : html`<a href="${href}">${words.places[name]}</a>`
        })}
      </nav>`,
  )}`
}

function pageHeaders({ formsLeadTo = 'here', script }: Page): Record<string, string> {
  const policy = [
    "default-src 'none'",
    "style-src 'self'",
    "img-src 'self'",
    ...(script === undefined ? [] : ["script-src 'self'"]),
    ...(script !== undefined && scripts[script].asks ? ["connect-src 'self'"] : []),
    ...(formsLeadTo === 'here' ? ["form-action 'self'"] : []),
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ]
  return {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'content-security-policy': policy.join('; '),
    'x-frame-options': 'DENY',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  }
}
