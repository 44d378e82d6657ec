// The servers of a tenant, for administrators: how each is reached and at which address, the form that adds one, and those
// that many people want. Each has a page of its own in server.ts. Works without scripts.
import { html } from 'hono/html'
import type { Connections } from '../../connectors/connections.ts'
import type { PublicServer, Servers } from '../../connectors/servers.ts'
import { resourceOf } from '../../gateway/targets.ts'
import type { Providers } from '../../people/providers.ts'
import type { Tenant } from '../../people/tenants.ts'
import { nameOf } from '../../people/users.ts'
import { redirect } from '../answers.ts'
import type { Forms } from '../forms.ts'
import { withCookies } from '../forms.ts'
import { pageRequestOf } from '../page-request.ts'
import { pathIn } from '../place.ts'
import type { Route, SignedIn } from '../route.ts'
import { addForm, keepingTokens, serverOf, serversForm, serversPath } from './add-server.ts'
import type { FailedForm } from './add-server.ts'
import { adminForm, adminPage } from './admin-page.ts'
import { page } from './layout.ts'
import type { Html } from './layout.ts'
import { problemIn } from './problem.ts'
import type { Problem } from './problem.ts'
import { words } from './words.ts'

interface Needs {
  readonly servers: Servers
  readonly connections: Connections
  readonly providers: Pick<Providers, 'list'>
  readonly forms: Forms
}

const said = words.servers
const perPage = 50

/** The rows of the page. */
export function serversPages(needs: Needs): readonly Route[] {
  return [
    adminPage({
      path: serversPath,
      words: 'The servers of this tenant, for administrators.',
      run: (visit) => serversPage(needs, visit),
    }),
    adminForm({
      path: serversPath,
      words: 'Adds a server.',
      run: (visit) => addServer(needs, visit),
    }),
  ]
}

async function addServer(needs: Needs, visit: SignedIn): Promise<Response> {
  const { principal } = visit
  const fields = needs.forms.read(visit, serversForm)
  const input = serverOf(fields)
  try {
    const { id, auth, grantType, discovered } = await needs.servers.create(principal, input)
    const isReady = discovered?.registration !== 'none'
    const isSignedInTo = auth === 'oauth' && grantType === 'authorization_code'
    if (!isSignedInTo || !isReady) return redirect(`${serversPath}/${id}`, 303)
    const connection = await needs.connections.create(principal, { serverId: id })
    return redirect(`/connect/${connection.id}`, 303)
  } catch (thrown) {
    const { url, name = '' } = input
    const { words: problem, status } = problemIn(thrown)
    return serversPage(needs, visit, { url, name, problem, status })
  }
}

async function serversPage(
  { servers, providers, forms }: Needs,
  visit: SignedIn,
  failed?: FailedForm & Pick<Problem, 'status'>,
): Promise<Response> {
  const { principal, query, tenant } = visit
  const [{ items, nextCursor }, usable] = await Promise.all([
    servers.list(principal, { ...pageRequestOf(query), limit: perPage }),
    keepingTokens(providers, principal),
  ])
  const { token, cookies } = forms.issue(visit, serversForm)
  const here = pathIn(tenant, serversPath)
  const drawn = await page({
    tenant,
    title: said.title,
    status: failed?.status ?? 200,
    signedInAs: nameOf(principal.user),
    place: { here: 'servers', isAdmin: true },
    body: html`
      <h1>${said.title}</h1>
      <p class="quiet">${said.intro}</p>
      <section class="card">
        ${
          items.length === 0
            ? html`<p>${said.none}</p>`
            : items.map((server) => serverEntry(server, tenant))
        }
      </section>
      ${
        nextCursor === undefined
          ? ''
          : html`<p><a href="${here}?cursor=${nextCursor}">${words.common.showMore}</a></p>`
      }
      ${addForm({ tenant, token, failed, providers: usable })}
      ${wellKnown(servers.templates, { token, here })}
    `,
  })
  return withCookies(drawn, cookies)
}

function serverEntry(server: PublicServer, tenant: Tenant): Html {
  const { id, name, slug, url } = server
  return html`
    <div class="row">
      <div class="wide">
        <strong><bdi>${name}</bdi></strong> ${reachedPill(server)} ${limitPills(server)}
        <div class="quiet">${said.useAt} <code>${resourceOf(tenant, slug)}</code></div>
        <div class="quiet"><code>${url}</code></div>
      </div>
      <p class="buttons">
        <a
          class="button"
          href="${pathIn(tenant, `${serversPath}/${id}`)}"
          aria-label="${said.open} ${name}"
          >${said.open}</a
        >
      </p>
    </div>
  `
}

/** How a server is reached. */
export function reachedPill(server: PublicServer): Html {
  const { auth, grantType, headerNames } = server
  const lacksKey = auth === 'headers' && headerNames.length === 0
  if (lacksKey) return html`<span class="pill attention">${said.needsKey}</span>`
  const isForPrograms = auth === 'oauth' && grantType !== 'authorization_code'
  return html`<span class="pill">${said.reached[isForPrograms ? 'ownGrant' : auth]}</span>`
}

function limitPills({ mayUse, toolPolicy }: PublicServer): Html {
  const pills = [
    ...(mayUse === undefined ? [] : [said.restricted]),
    ...(toolPolicy === undefined ? [] : [said.someClosed]),
  ]
  return html`${pills.map((text) => html`<span class="pill info">${text}</span> `)}`
}

function wellKnown(
  templates: Servers['templates'],
  { token, here }: { readonly token: string; readonly here: string },
): Html {
  return html`
    <section class="card">
      <h2>${said.wellKnown}</h2>
      <p class="quiet">${said.wellKnownIntro}</p>
      ${templates.map(
        ({ name, url, auth, words: todo }) => html`
          <div class="row">
            <div class="wide">
              <strong>${name}</strong>
              <div class="quiet">${todo}</div>
            </div>
            <form method="post" action="${here}">
              <input type="hidden" name="form_token" value="${token}" />
              <input type="hidden" name="url" value="${url}" />
              <input type="hidden" name="name" value="${name}" />
              <input type="hidden" name="auth" value="${auth}" />
              <button aria-label="${said.add} ${name}">${said.add}</button>
            </form>
          </div>
        `,
      )}
    </section>
  `
}
