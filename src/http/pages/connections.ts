// Connections: the servers a person can reach, how each stands, and the button that connects it. Admins add servers here.
import { html } from 'hono/html'
import { nameOf } from '../../people/users.ts'
import type { Providers } from '../../people/providers.ts'
import type { Connections } from '../../connectors/connections.ts'
import type { Servers, ServerTest } from '../../connectors/servers.ts'
import { resourceOf } from '../../gateway/targets.ts'
import { isAdmin } from '../../people/principal.ts'
import { redirect, toSignIn } from '../answers.ts'
import type { Forms } from '../forms.ts'
import { withCookies } from '../forms.ts'
import { pathIn } from '../place.ts'
import { route } from '../route.ts'
import type { Recognised, Route, SignedIn } from '../route.ts'
import { addForm, keepingTokens, serversForm } from './add-server.ts'
import { page } from './layout.ts'
import { connectionsPath, serverRow } from './server-row.ts'

interface Needs {
  readonly servers: Servers
  readonly connections: Connections
  readonly providers: Pick<Providers, 'list'>
  readonly forms: Forms
}

const path = connectionsPath

/** The rows of the connections page. */
export function connectionPages(needs: Needs): readonly Route[] {
  return [
    ...['/', '/console'].map((from) =>
      route({
        method: 'GET',
        path: from,
        guard: 'open',
        surface: 'page',
        words: 'Leads to the connections page.',
        run: async () => redirect(path, 302),
      }),
    ),
    route({
      method: 'GET',
      path,
      guard: 'visitor',
      surface: 'page',
      words: 'The person’s servers and connections.',
      run: async (visit: Recognised) =>
        visit.session === undefined
          ? toSignIn(path, 302)
          : connectionsPage(needs, { ...visit, principal: visit.session }),
    }),
    ...formRoutes(needs),
  ]
}

/** What the forms of the page do. */
function formRoutes(needs: Needs): readonly Route[] {
  return [
    route({
      method: 'POST',
      path,
      guard: 'session',
      surface: 'page',
      words: 'Makes a connection to a server and leads to its sign-in.',
      run: async (visit) => {
        const serverId = needs.forms.read(visit, 'connections').get('server') ?? ''
        const connection = await needs.connections.create(visit.principal, { serverId })
        return redirect(`/connect/${connection.id}`, 303)
      },
    }),
    route({
      method: 'POST',
      path: `${path}/test`,
      guard: 'session',
      surface: 'page',
      words: 'Lists the tools of a server as the person.',
      run: async (visit) => {
        const serverId = needs.forms.read(visit, 'connections').get('server') ?? ''
        const test = await needs.servers.test(visit.principal, serverId)
        return connectionsPage(needs, visit, { tested: { serverId, test } })
      },
    }),
    route({
      method: 'POST',
      path: `${path}/{connection}`,
      guard: 'session',
      surface: 'page',
      words: 'Lets everybody use an administrator’s connection, or ends that.',
      run: async (visit) => {
        const isShared = needs.forms.read(visit, 'connections').get('shared') === 'true'
        const id = visit.params['connection'] ?? ''
        await needs.connections.share(visit.principal, id, isShared)
        return redirect(path, 303)
      },
    }),
  ]
}

/** What the page shows besides. */
interface Shown {
  readonly tested?: { readonly serverId: string; readonly test: ServerTest }
}

async function connectionsPage(
  { servers, connections, providers, forms }: Needs,
  visit: SignedIn,
  { tested }: Shown = {},
): Promise<Response> {
  const { principal, tenant } = visit
  const [known, mine, shared, usable] = await Promise.all([
    servers.list(principal, { limit: 200 }),
    connections.list(principal, { limit: 200 }),
    connections.sharedServers(tenant),
    isAdmin(principal) ? keepingTokens(providers, principal) : [],
  ])
  const { token, cookies, browser } = forms.issue(visit, 'connections')
  const add = forms.issue({ ...visit, browser }, serversForm)
  const signOut = forms.issue({ ...visit, browser }, 'sign-out')
  const drawn = await page({
    tenant,
    title: 'Connections',
    signedInAs: nameOf(principal.user),
    script: 'connections.js',
    place: { here: 'connections', isAdmin: isAdmin(principal) },
    body: html`
      <h1>Connections</h1>
      <section
        class="card"
        id="servers"
        data-base="${pathIn(tenant, '')}"
        data-form-token="${token}"
      >
        ${
          known.items.length === 0
            ? html`<p>
                There is no server yet.${isAdmin(principal) ? ' Add the first one below.' : ''}
              </p>`
            : known.items.map((server) =>
                serverRow({
                  server,
                  connections: mine.items.filter(({ serverId }) => serverId === server.id),
                  isShared: shared.has(server.id),
                  isAdmin: isAdmin(principal),
                  token,
                  tenant,
                  address: resourceOf(tenant, server.slug),
                  test: tested?.serverId === server.id ? tested.test : undefined,
                }),
              )
        }
      </section>
      <p class="warning" role="status" data-waiting hidden>
        Sign in in the other window. <button type="button">Cancel</button>
      </p>
      ${isAdmin(principal) ? addForm({ tenant, token: add.token, providers: usable }) : ''}
      <form method="post" action="${pathIn(tenant, '/sign-out')}">
        <input type="hidden" name="form_token" value="${signOut.token}" />
        <button>Sign out</button>
      </form>
    `,
  })
  return withCookies(drawn, cookies)
}
