// The pages around a sign-in elsewhere: our own page that starts it, for the signed-in owner only, and the callback where
// it ends, which also works when the provider has cut the popup off from its opener.
import { html } from 'hono/html'
import { Fault } from '../../base/fault.ts'
import type { Connections, FinishedFlow } from '../../connectors/connections.ts'
import type { SessionPrincipal } from '../../people/principal.ts'
import { redirect } from '../answers.ts'
import type { Forms } from '../forms.ts'
import { withCookies } from '../forms.ts'
import { route } from '../route.ts'
import type { Route, Visit } from '../route.ts'
import { page } from './layout.ts'

interface Needs {
  readonly connections: Connections
  readonly forms: Forms
}

type Visitor = Visit & { readonly session: SessionPrincipal | undefined }

/** The rows of `/connect/…`. */
export function connectRoutes(needs: Needs): readonly Route[] {
  const shared = { guard: 'visitor', surface: 'page' } as const
  return [
    route({
      ...shared,
      method: 'GET',
      path: '/connect/callback/{context}',
      words: 'Where a sign-in elsewhere comes back to (RFC 6749 §4.1.2).',
      run: (visit) => finish(needs, visit),
    }),
    route({
      ...shared,
      method: 'GET',
      path: '/connect/{connection}',
      words: 'Our page that starts a sign-in elsewhere.',
      run: (visit) => askToConnect(needs, visit),
    }),
    route({
      ...shared,
      method: 'POST',
      path: '/connect/{connection}',
      words: 'Starts the sign-in elsewhere and sends the browser there.',
      run: (visit) => startConnecting(needs, visit),
    }),
  ]
}

async function askToConnect({ connections, forms }: Needs, visit: Visitor): Promise<Response> {
  const { session, params } = visit
  if (session === undefined) return toSignIn(visit)
  const connection = await connections.get(session, params['connection'] ?? '')
  const { token, cookies } = forms.issue(visit, 'connect')
  const drawn = await page({
    title: `Connect ${connection.serverName}`,
    signedInAs: session.user.email,
    formsLeadTo: 'anywhere',
    body: html`
      <section class="card narrow">
        <h1>Connect <bdi>${connection.serverName}</bdi></h1>
        <p>
          You will sign in at its own page and come back here. Latchkey keeps the result encrypted
          and uses it only for calls that you make.
        </p>
        <dl class="facts">
          <dt>Server</dt>
          <dd><code>${connection.serverUrl}</code></dd>
        </dl>
        <form method="post" action="/connect/${connection.id}" class="buttons">
          <input type="hidden" name="form_token" value="${token}" />
          <input type="hidden" name="flow" value="${visit.query.get('flow') ?? ''}" />
          <button class="primary">Continue to sign in</button>
          <a class="button" href="/console/connections">Not now</a>
        </form>
      </section>
    `,
  })
  return withCookies(drawn, cookies)
}

async function startConnecting({ connections, forms }: Needs, visit: Visitor): Promise<Response> {
  const { session, browser, params } = visit
  if (session === undefined) return toSignIn(visit)
  const flowId = forms.read(visit, 'connect').get('flow') ?? ''
  if (browser === undefined) throw new Fault('bad_form', { because: 'the browser has no cookie' })
  const id = params['connection'] ?? ''
  const begun = await connections.authorize(session, id, {
    browser,
    ...(flowId === '' ? {} : { flowId }),
  })
  if ('alreadyAuthorized' in begun) return redirect('/console/connections', 303)
  return redirect(begun.authorizeUrl, 303)
}

async function finish({ connections }: Needs, visit: Visitor): Promise<Response> {
  const { tenant, params, query, browser, session } = visit
  const context = params['context'] ?? ''
  const finished = await connections.finish({ tenant, context, query, browser, session })
  if (finished.returnTo !== undefined) return redirect(finished.returnTo, 302)
  return callbackPage(visit, finished)
}

function callbackPage({ tenant }: Visit, finished: FinishedFlow): Promise<Response> {
  const isConnected = finished.kind === 'completed'
  return page({
    title: isConnected ? 'Connected' : 'Not connected',
    status: isConnected ? 200 : 400,
    script: 'callback.js',
    body: html`
      <section
        class="card narrow"
        data-flow="${finished.flowId}"
        data-connection="${finished.connectionId}"
        data-success="${String(isConnected)}"
        data-origin="${tenant.issuer}"
      >
        <h1>${isConnected ? 'Connected' : 'Not connected'}</h1>
        <p>${isConnected ? 'You can close this window.' : finished.words}</p>
        <p><a href="/console/connections">Go to your connections</a></p>
      </section>
    `,
  })
}

function toSignIn({ request }: Visit): Response {
  const { pathname, search } = new URL(request.url)
  return redirect(`/sign-in?next=${encodeURIComponent(pathname + search)}`, 303)
}
