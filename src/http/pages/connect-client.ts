// Connect a client: what a person copies into the program they work in so that it reaches one of their servers, or all of
// them as one. Works without scripts.
import { html } from 'hono/html'
import { Fault } from '../../base/fault.ts'
import type { Server, Servers } from '../../connectors/servers.ts'
import { resourceOf } from '../../gateway/targets.ts'
import { isLoopbackHost } from '../../oauth/uri.ts'
import { isAdmin } from '../../people/principal.ts'
import { isDefault } from '../../people/tenants.ts'
import { nameOf } from '../../people/users.ts'
import { pathIn } from '../place.ts'
import type { Route, SignedIn } from '../route.ts'
import { clientSteps } from './client-steps.ts'
import type { ProgramSteps, Step } from './client-steps.ts'
import { page } from './layout.ts'
import type { Html } from './layout.ts'
import { ownPage } from './own-page.ts'
import { words as all } from './words.ts'

interface Needs {
  readonly servers: Pick<Servers, 'usable'>
}

const path = '/console/connect'
const words = all.connect

/** The row of the page. */
export function connectClientPages(needs: Needs): readonly Route[] {
  return [
    ownPage({
      path,
      words: 'How each program is given the address of a server, or of all as one.',
      run: (visit) => connectClientPage(needs, visit),
    }),
  ]
}

async function connectClientPage({ servers }: Needs, visit: SignedIn): Promise<Response> {
  const { principal, tenant, query } = visit
  const usable = await servers.usable(principal)
  const chosen = chosenOf(usable, query.get('server') ?? '')
  const url = resourceOf(tenant, chosen?.slug)
  const name = chosen?.slug ?? (isDefault(tenant) ? 'latchkey' : tenant.slug)
  const isLocal = isLoopbackHost(new URL(tenant.issuer).hostname)
  return page({
    tenant,
    title: all.places.connect,
    signedInAs: nameOf(principal.user),
    place: { here: 'connect', isAdmin: isAdmin(principal) },
    script: 'copy.js',
    body: html`
      <h1>${all.places.connect}</h1>
      <p class="quiet">${words.lead}</p>
      ${chooser({ usable, chosen, here: pathIn(tenant, path) })}
      <section class="card">
        <h2>${words.address}</h2>
        <p>
          ${chosen === undefined ? words.forAll : html`${words.forOne} <bdi>${chosen.name}</bdi>`}
        </p>
        ${copyBox({ id: 'address', text: url, label: words.address })}
        <p class="quiet">
          ${words.afterwards}
          <a href="${pathIn(tenant, '/console/apps')}">${all.places.apps}</a>. ${words.signIns}
          <a href="${pathIn(tenant, '/console/connections')}">${all.places.connections}</a>.
        </p>
      </section>
      <section class="card programs">
        <h2>${words.programs}</h2>
        ${clientSteps({ url, name, issuer: tenant.issuer }).map((program, index) =>
          programSteps(program, { index, isLocal }),
        )}
      </section>
    `,
  })
}

/** The one that is asked for; undefined for all as one. A server that one may not use is not there. */
function chosenOf(usable: readonly Server[], slug: string): Server | undefined {
  if (slug === '') return undefined
  const found = usable.find((server) => server.slug === slug)
  if (found !== undefined) return found
  throw new Fault('not_found', { because: 'no such server that they may use' })
}

interface Chooser {
  readonly usable: readonly Server[]
  readonly chosen: Server | undefined
  readonly here: string
}

function chooser({ usable, chosen, here }: Chooser): Html {
  if (usable.length === 0) return html``
  const option = (value: string, text: string, isChosen: boolean) =>
    html`<option value="${value}" ${isChosen ? 'selected' : ''}>${text}</option>`
  return html`<form method="get" action="${here}" class="chooser">
    <label
      >${words.which}
      <select name="server">
        ${option('', words.all, chosen === undefined)}
        ${usable.map(({ slug, name }) => option(slug, name, slug === chosen?.slug))}
      </select>
    </label>
    <button>${words.choose}</button>
  </form>`
}

function programSteps(
  { name, steps, isInTheCloud = false }: ProgramSteps,
  { index: program, isLocal }: { readonly index: number; readonly isLocal: boolean },
): Html {
  return html`<details>
    <summary><h3>${name}</h3></summary>
    ${isInTheCloud && isLocal ? html`<p class="warning">${words.outOfReach}</p>` : ''}
    <ol>
      ${steps.map((step, index) => html`<li>${stepOf(step, name, `copy-${program}-${index}`)}</li>`)}
    </ol>
  </details>`
}

function stepOf({ words: said, copy, open, or = [] }: Step, program: string, id: string): Html {
  return html`${said ?? ''}
  ${open === undefined ? '' : html`<a class="button" href="${open}">${words.install(program)}</a>`}
  ${copy === undefined ? '' : copyBox({ id, text: copy, label: `${program}: ${said ?? ''}` })}
  ${or.map((way, index) => html`<div>${stepOf(way, program, `${id}-${index}`)}</div>`)}`
}

interface CopyBox {
  readonly id: string
  readonly text: string
  /** What it is, for who does not see where it stands. */
  readonly label: string
}

/** A text to copy; the button is there where the script is. */
function copyBox({ id, text, label }: CopyBox): Html {
  return html`<div class="copy">
    <pre><code id="${id}">${text}</code></pre>
    <button
      type="button"
      hidden
      data-copies="${id}"
      data-copied="${all.common.copied}"
      aria-label="${all.common.copy}: ${label}"
    >
      ${all.common.copy}
    </button>
    <span class="quiet" role="status"></span>
  </div>`
}
