// One server on the connections page: how the person's connections to it stand, what can be done about that, and the
// address to use.
import { html } from 'hono/html'
import type { PublicConnection } from '../../connectors/connections.ts'
import type { PublicServer, ServerTest } from '../../connectors/servers.ts'
import type { Tenant } from '../../people/tenants.ts'
import { pathIn } from '../place.ts'
import type { Html } from './layout.ts'

export interface ServerRow {
  readonly server: PublicServer
  /** The person's own. */
  readonly connections: readonly PublicConnection[]
  /** An administrator's connection works for whoever has none. */
  readonly isShared: boolean
  /** The person may share. */
  readonly isAdmin: boolean
  readonly token: string
  readonly tenant: Tenant
  readonly address: string
  /** What trying it out has just shown. */
  readonly test?: ServerTest | undefined
}

/** Where its forms go. */
export const connectionsPath = '/console/connections'

/** Draws the row. */
export function serverRow(row: ServerRow): Html {
  const { server, connections, address } = row
  return html`
    <div class="row">
      <div class="wide">
        <strong><bdi>${server.name}</bdi></strong>
        ${serverPill(row)} ${isSignedInTo(server) ? connections.map(statusPill) : ''}
        <div class="quiet">Use it at <code>${address}</code></div>
        ${testResult(row.test)}
      </div>
      <div class="buttons">
        ${connections.map((connection) => connectionButtons(connection, row))} ${connectForm(row)}
        ${testForm(row)}
      </div>
    </div>
  `
}

function serverPill({ server, connections, isShared }: ServerRow): Html {
  const { auth, headerNames } = server
  const isBorrowed = isShared && connections.every(({ status }) => status === 'disconnected')
  if (isSignedInTo(server)) {
    return isBorrowed ? html`<span class="pill good">Shared by an administrator</span>` : html``
  }
  const lacksKey = auth === 'headers' && headerNames.length === 0
  return lacksKey
    ? html`<span class="pill attention">Needs a key</span>`
    : html`<span class="pill good">Ready</span>`
}

function statusPill({ authorized, label, shared }: PublicConnection): Html {
  const name = label === '' || label === 'default' ? '' : ` (${label})`
  const pill = authorized
    ? html`<span class="pill info">OAuth · signed in<bdi>${name}</bdi></span>`
    : html`<span class="pill attention">OAuth · sign-in required<bdi>${name}</bdi></span>`
  return shared ? html`${pill} <span class="pill">Shared with everybody</span>` : pill
}

/** A person signs in to it, and to no other. */
function isSignedInTo({ auth, grantType }: PublicServer): boolean {
  return auth === 'provider' || (auth === 'oauth' && grantType === 'authorization_code')
}

function connectionButtons(connection: PublicConnection, row: ServerRow): Html {
  const { id, authorized, shared, missingScopes } = connection
  if (!isSignedInTo(row.server)) return html``
  const isByProvider = row.server.auth === 'provider'
  if (!authorized || missingScopes !== undefined) {
    return signInForm(row.tenant, { id, isByProvider })
  }
  // A sign-in at a provider of the tenant is nobody's to share.
  if (!row.isAdmin || isByProvider) return html``
  return html`<form method="post" action="${pathIn(row.tenant, `${connectionsPath}/${id}`)}">
    <input type="hidden" name="form_token" value="${row.token}" />
    <input type="hidden" name="shared" value="${String(!shared)}" />
    <button>${shared ? 'Stop sharing' : 'Share with everybody'}</button>
  </form>`
}

/** Leads to our page that starts the sign-in; the script opens the provider's in a popup instead. */
function signInForm(
  tenant: Tenant,
  { id, isByProvider }: { readonly id: string; readonly isByProvider: boolean },
): Html {
  const path = pathIn(tenant, `/connect/${id}`)
  if (isByProvider) {
    return html`<form method="get" action="${path}">
      <button class="primary">Sign in</button>
    </form>`
  }
  return html`<form method="get" action="${path}" data-sign-in="${id}">
    <button class="primary">Sign in</button>
  </form>`
}

/** Who cannot call it yet has nothing to try. */
function testForm({ server, connections, isShared, token, tenant }: ServerRow): Html {
  const isReady = !isSignedInTo(server) || isShared || connections.some((one) => one.authorized)
  if (!isReady) return html``
  return html`<form method="post" action="${pathIn(tenant, `${connectionsPath}/test`)}">
    <input type="hidden" name="form_token" value="${token}" />
    <input type="hidden" name="server" value="${server.id}" />
    <button>Test</button>
  </form>`
}

function testResult(test: ServerTest | undefined): Html {
  if (test === undefined) return html``
  if (!test.ok) return html`<p class="warning" role="status">${test.words}</p>`
  const { toolCount, tools } = test
  return html`<details class="tools" role="status">
    <summary>Discovered ${toolCount} ${toolCount === 1 ? 'tool' : 'tools'}</summary>
    <ul>
      ${tools.slice(0, toolsShown).map(({ name }) => html`<li><bdi>${name}</bdi></li>`)}
    </ul>
  </details>`
}

const toolsShown = 100

function connectForm({ server, connections, isShared, token, tenant }: ServerRow): Html {
  if (!isSignedInTo(server) || connections.length > 0) return html``
  return html`<form method="post" action="${pathIn(tenant, connectionsPath)}">
    <input type="hidden" name="form_token" value="${token}" />
    <input type="hidden" name="server" value="${server.id}" />
    ${
      isShared
        ? html`<button>Connect your own</button>`
        : html`<button class="primary">Connect</button>`
    }
  </form>`
}
