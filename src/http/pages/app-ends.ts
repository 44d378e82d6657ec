// How a sign-in ends inside somebody else's app, for a person: small pages that need no other file, because everything
// around them is the app's. They tell the window that opened them, and close.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { html, raw } from 'hono/html'
import type { Fault } from '../../base/fault.ts'
import { describeFault, faultCatalogue } from '../../base/fault.ts'
import type { FinishedFlow } from '../../connectors/connections.ts'
import type { Tenant } from '../../people/tenants.ts'
import type { Html } from './layout.ts'
import { toldToOpener } from './told-to-opener.ts'

const script = readFileSync(new URL('./browser/callback.js', import.meta.url), 'utf8')
const style =
  'body{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem}'

/** The page after a sign-in that worked. */
export function connectedPage(
  tenant: Tenant,
  ended: { readonly flowId: string; readonly connectionId: string; readonly serverName: string },
): Promise<Response> {
  const { flowId, connectionId, serverName } = ended
  return draw({
    title: 'Connected',
    status: 200,
    body: html`<main ${toldToOpener({ flowId, connectionId, tenant, success: true })}>
      <h1>Connected</h1>
      <p><bdi>${serverName}</bdi> is signed in. You can close this window.</p>
    </main>`,
  })
}

/** The page after a sign-in that did not work. */
export function failedPage(
  tenant: Tenant,
  { flowId, connectionId, words }: Extract<FinishedFlow, { kind: 'failed' }>,
): Promise<Response> {
  return draw({
    title: 'Not connected',
    status: 400,
    body: html`<main ${toldToOpener({ flowId, connectionId, tenant, success: false })}>
      <h1>Not connected</h1>
      <p>${words}</p>
      <p>You can close this window and try again.</p>
    </main>`,
  })
}

/** The page for a request that was refused. */
export function refusedPage(fault: Fault): Promise<Response> {
  return draw({
    title: 'This did not work',
    status: faultCatalogue[fault.code].status,
    body: html`<main>
      <h1>This did not work</h1>
      <p>${describeFault(fault)}</p>
    </main>`,
  })
}

async function draw(page: {
  readonly title: string
  readonly status: number
  readonly body: Html
}): Promise<Response> {
  const { title, status, body } = page
  const text = await html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title}</title>
        ${raw(`<style>${style}</style>`)}
      </head>
      <body>
        ${body} ${raw(`<script>${script}</script>`)}
      </body>
    </html>`
  return new Response(String(text), { status, headers })
}

const policy = [
  "default-src 'none'",
  `style-src ${hashOf(style)}`,
  `script-src ${hashOf(script)}`,
  "form-action 'none'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ')

const headers = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy': policy,
  'x-frame-options': 'DENY',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
}

/** CSP Level 3 §2.3.1: what stands in the page itself is let run by its digest. */
function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
}
