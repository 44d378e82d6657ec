// Connect a client: for each program that we know the exact steps, with the address to give to it. Works without scripts: what is
// to be copied is chosen whole with one click.
import { html } from 'hono/html'
import type { Server, Servers } from '../../connectors/servers.ts'
import { resourceOf } from '../../gateway/targets.ts'
import { isAdmin } from '../../people/principal.ts'
import { isLoopbackHost } from '../../oauth/uri.ts'
import { isDefault } from '../../people/tenants.ts'
import type { Tenant } from '../../people/tenants.ts'
import { nameOf } from '../../people/users.ts'
import { toSignIn } from '../answers.ts'
import { pathIn } from '../place.ts'
import { route } from '../route.ts'
import type { Route, SignedIn } from '../route.ts'
import { stepsFor } from './client-steps.ts'
import type { ClientSteps, Endpoint, Step } from './client-steps.ts'
import { page } from './layout.ts'
import type { Html } from './layout.ts'
import { words } from './words.ts'

interface Needs {
  readonly servers: Pick<Servers, 'usable'>
}

const path = '/console/connect'
const say = words.connect

/** The row of the page. */
export function connectClientPages({ servers }: Needs): readonly Route[] {
  return [
    route({
      method: 'GET',
      path,
      guard: 'visitor',
      surface: 'page',
      words: 'How a person connects each program that is known.',
      run: async (visit) =>
        visit.session === undefined
          ? toSignIn(visit.path, 302)
          : connectPage({ servers }, { ...visit, principal: visit.session }),
    }),
  ]
}

async function connectPage({ servers }: Needs, visit: SignedIn): Promise<Response> {
  const { principal, tenant, query } = visit
  const usable = await servers.usable(principal)
  const chosen = usable.find(({ slug }) => slug === query.get('server'))
  const endpoint = endpointOf(tenant, chosen)
  const isLocal = isLoopbackHost(new URL(tenant.issuer).hostname)
  return page({
    tenant,
    title: say.title,
    signedInAs: nameOf(principal.user),
    place: { here: 'connect', isAdmin: isAdmin(principal) },
    body: html`
      <h1>${say.title}</h1>
      <p class="quiet">${say.lead}</p>
      <section class="card">
        ${usable.length === 0 ? html`<p>${say.noServer}</p>` : choice(tenant, usable, chosen)}
        <p>${say.address}</p>
        ${copied(endpoint.url)}
      </section>
      ${stepsFor(endpoint).map((client) => clientCard(client, isLocal))}
    `,
  })
}

function endpointOf(tenant: Tenant, server: Server | undefined): Endpoint {
  const url = resourceOf(tenant, server?.slug)
  return { url, name: server?.slug ?? (isDefault(tenant) ? 'latchkey' : tenant.slug) }
}

function choice(tenant: Tenant, usable: readonly Server[], chosen: Server | undefined): Html {
  return html`<form method="get" action="${pathIn(tenant, path)}">
    <label>
      ${say.which}
      <span class="with-button">
        <select name="server">
          <option value="">${say.all}</option>
          ${usable.map(
            ({ slug, name }) =>
              html`<option value="${slug}" ${slug === chosen?.slug ? 'selected' : ''}>
                ${name}
              </option>`,
          )}
        </select>
        <button>${say.choose}</button>
      </span>
    </label>
  </form>`
}

function clientCard({ client, isInTheCloud, steps }: ClientSteps, isLocal: boolean): Html {
  return html`<details class="card">
    <summary><h2>${client}</h2></summary>
    ${isInTheCloud && isLocal ? html`<p class="warning">${say.outOfReach}</p>` : ''}
    <ol>
      ${steps.map(stepItem)}
    </ol>
  </details>`
}

function stepItem({ words: what, text }: Step): Html {
  return html`<li>${what} ${text === undefined ? '' : copied(text)}</li>`
}

/** One click chooses all of it. */
function copied(text: string): Html {
  return html`<pre class="copy" tabindex="0"><code>${text}</code></pre>`
}
