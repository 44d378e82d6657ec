// The pages around a sign-in elsewhere: our own page that starts it, for the signed-in owner only, and the callback where
// it ends, which also works when the provider has cut the popup off from its opener.
import { html } from 'hono/html'
import { nameOf } from '../../people/users.ts'
import { Fault } from '../../base/fault.ts'
import type { Connections, FinishedFlow } from '../../connectors/connections.ts'
import type { OfferedProvider, Providers } from '../../people/providers.ts'
import type { SignIns } from '../../upstream/sign-ins.ts'
import { redirect, toSignIn } from '../answers.ts'
import type { Forms } from '../forms.ts'
import { withCookies } from '../forms.ts'
import { returnAddress } from '../return-address.ts'
import { pathIn } from '../place.ts'
import { route } from '../route.ts'
import type { Recognised, Route, Visit } from '../route.ts'
import { page } from './layout.ts'
import type { Html } from './layout.ts'
import { toldToOpener } from './told-to-opener.ts'

interface Needs {
  readonly connections: Connections
  readonly forms: Forms
  readonly providers: Pick<Providers, 'bySlug'>
  readonly upstream: { readonly signIns: Pick<SignIns, 'begin'> }
}

type FailedFlow = Extract<FinishedFlow, { kind: 'failed' }>

const home = '/console/connections'

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
      path: '/connect/finished/{flow}',
      words: 'What a sign-in elsewhere came to; loading it again changes nothing.',
      run: (visit) => showFinished(needs, visit),
    }),
    route({
      ...shared,
      method: 'GET',
      path: '/connect/{connection}/arrived',
      words: 'Where a sign-in at a provider of the tenant ends that a server takes.',
      run: (visit) => showArrived(needs, visit),
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

async function askToConnect({ connections, forms }: Needs, visit: Recognised): Promise<Response> {
  const { session, params, tenant } = visit
  if (session === undefined) return signInFirst(visit)
  const connection = await connections.get(session, params['connection'] ?? '')
  const provider = await connections.providerOf(session, connection.id)
  const { token, cookies } = forms.issue(visit, 'connect')
  const missing = connection.missingScopes ?? []
  const drawn = await page({
    tenant,
    title: `Connect ${connection.serverName}`,
    signedInAs: nameOf(session.user),
    formsLeadTo: 'anywhere',
    body: html`
      <section class="card narrow">
        <h1>Connect <bdi>${connection.serverName}</bdi></h1>
        ${wayWords(provider)}
        <dl class="facts">
          <dt>Server</dt>
          <dd><code>${connection.serverUrl}</code></dd>
          ${
            missing.length === 0
              ? ''
              : html`<dt>Permission it asks for</dt>
                  <dd><code>${missing.join(' ')}</code></dd>`
          }
        </dl>
        <form method="post" action="${pathIn(tenant, `/connect/${connection.id}`)}" class="buttons">
          <input type="hidden" name="form_token" value="${token}" />
          <input type="hidden" name="flow" value="${visit.query.get('flow') ?? ''}" />
          <button class="primary">${buttonWords(provider)}</button>
          <a class="button" href="${pathIn(tenant, home)}">Not now</a>
        </form>
      </section>
    `,
  })
  return withCookies(drawn, cookies)
}

function wayWords(provider: OfferedProvider | undefined): Html {
  if (provider === undefined) {
    return html`<p>
      You will sign in at its own page and come back here. Latchkey keeps the result encrypted and
      uses it only for calls that you make.
    </p>`
  }
  return html`<p>
    It takes your sign-in at <bdi>${provider.name}</bdi>. You will sign in there and come back here.
    Latchkey keeps the result encrypted and uses it only for calls that you make.
  </p>`
}

function buttonWords(provider: OfferedProvider | undefined): Html {
  if (provider === undefined) return html`Continue to sign in`
  return html`Continue with <bdi>${provider.name}</bdi>`
}

/** The connection whose person comes back here from a provider of the tenant; undefined for any other path. */
export function connectionIn(next: string): string | undefined {
  return /^\/connect\/(?<id>con_\w{1,64})\/arrived$/.exec(next)?.groups?.['id']
}

async function showArrived({ connections }: Needs, { session, params, tenant }: Recognised) {
  const id = params['connection'] ?? ''
  if (session === undefined) return toSignIn(`/connect/${id}`, 303)
  const { serverName, authorized } = await connections.get(session, id)
  if (!authorized) return redirect(`/connect/${id}`, 302)
  return page({
    tenant,
    title: 'Connected',
    signedInAs: nameOf(session.user),
    body: html`
      <section class="card narrow">
        <h1>Connected</h1>
        <p><bdi>${serverName}</bdi> is signed in. You can go back to your app.</p>
        <p><a href="${pathIn(tenant, home)}">Go to your connections</a></p>
      </section>
    `,
  })
}

async function startConnecting(
  { connections, forms, providers, upstream }: Needs,
  visit: Recognised,
): Promise<Response> {
  const { session, browser, params } = visit
  if (session === undefined) return signInFirst(visit)
  const fields = forms.read(visit, 'connect')
  const flowId = fields.get('flow') ?? ''
  if (browser === undefined) throw new Fault('bad_form', { because: 'the browser has no cookie' })
  const id = params['connection'] ?? ''
  const provider = await connections.providerOf(session, id)
  if (provider !== undefined) {
    const there = await providers.bySlug(visit.tenant, provider.slug)
    const next = `/connect/${id}/arrived`
    const wish = { provider: there, browser, next, isFresh: false }
    return redirect(await upstream.signIns.begin(wish), 303)
  }
  const begun = await connections.authorize(session, id, {
    browser,
    again: true,
    ...(flowId === '' ? {} : { flowId }),
  })
  if ('alreadyAuthorized' in begun) return redirect(home, 303)
  return redirect(begun.authorizeUrl, 303)
}

async function finish({ connections }: Needs, visit: Recognised): Promise<Response> {
  const { tenant, params, query, browser, session } = visit
  const context = params['context'] ?? ''
  const finished = await connections.finish({ tenant, context, query, browser, session })
  if (finished.returnTo !== undefined)
    return redirect(returnAddress(finished.returnTo, finished), 302)
  // Away from the address that holds the code: loading that again could only say that it was used.
  if (finished.kind === 'completed') return redirect(`/connect/finished/${finished.flowId}`, 302)
  return failedPage(visit, finished)
}

async function showFinished({ connections }: Needs, visit: Recognised): Promise<Response> {
  const { session, params, tenant } = visit
  if (session === undefined) return signInFirst(visit)
  const flowId = params['flow'] ?? ''
  const { status, connectionId } = await connections.flow(session, flowId)
  if (status !== 'completed') return redirect(home, 302)
  const { serverName } = await connections.get(session, connectionId)
  return page({
    tenant,
    title: 'Connected',
    signedInAs: nameOf(session.user),
    script: 'callback.js',
    body: html`
      <section class="card narrow" ${toldToOpener({ flowId, connectionId, tenant, success: true })}>
        <h1>Connected</h1>
        <p><bdi>${serverName}</bdi> is signed in. You can close this window.</p>
        <p><a href="${pathIn(tenant, home)}">Go to your connections</a></p>
      </section>
    `,
  })
}

function failedPage({ tenant, session }: Recognised, failed: FailedFlow): Promise<Response> {
  const { flowId, connectionId, words } = failed
  return page({
    tenant,
    title: 'Not connected',
    status: 400,
    signedInAs: session?.user.email,
    script: 'callback.js',
    body: html`
      <section
        class="card narrow"
        ${toldToOpener({ flowId, connectionId, tenant, success: false })}
      >
        <h1>Not connected</h1>
        <p>${words}</p>
        <p class="buttons">
          <a class="button primary" href="${pathIn(tenant, `/connect/${connectionId}`)}"
            >Try again</a
          >
          <a class="button" href="${pathIn(tenant, home)}">Your connections</a>
        </p>
      </section>
    `,
  })
}

/** Says why a sign-in at a provider of the tenant connected nothing. */
export function notConnected(
  { session, tenant }: Pick<Recognised, 'session' | 'tenant'>,
  { connectionId, words }: { readonly connectionId: string; readonly words: string },
): Promise<Response> {
  return page({
    tenant,
    title: 'Not connected',
    status: 400,
    signedInAs: session === undefined ? undefined : nameOf(session.user),
    body: html`
      <section class="card narrow">
        <h1>Not connected</h1>
        <p>${words}</p>
        <p class="buttons">
          <a class="button primary" href="${pathIn(tenant, `/connect/${connectionId}`)}"
            >Try again</a
          >
          <a class="button" href="${pathIn(tenant, home)}">Your connections</a>
        </p>
      </section>
    `,
  })
}

function signInFirst({ path }: Visit): Response {
  return toSignIn(path, 303)
}
