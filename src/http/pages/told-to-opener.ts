// What a page at the end of a sign-in tells the window that opened it, for browser/callback.js to read.
import { html } from 'hono/html'
import type { Tenant } from '../../people/tenants.ts'
import type { Html } from './layout.ts'

/** Attributes of the page's main part; the message goes to the tenant's own origin only. */
export function toldToOpener(told: {
  readonly flowId: string
  readonly connectionId: string
  readonly tenant: Tenant
  readonly success: boolean
}): Html {
  const { flowId, connectionId, tenant, success } = told
  return html`data-flow="${flowId}" data-connection="${connectionId}"
  data-success="${String(success)}" data-origin="${new URL(tenant.issuer).origin}"`
}
