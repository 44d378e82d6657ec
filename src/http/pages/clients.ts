// Clients, for administrators: every program that may ask to be let in, how much it is used, the switch that turns it off
// or on, and a new secret, which is shown once. Works without scripts.
import { html } from 'hono/html'
import { nameOf } from '../../people/users.ts'
import { Fault, isFault } from '../../base/fault.ts'
import type { Secret } from '../../base/secret.ts'
import type { PublicClient } from '../../issuer/client-list.ts'
import type { Issuer } from '../../issuer/issuer.ts'
import { redirect } from '../answers.ts'
import type { Forms } from '../forms.ts'
import { withCookies } from '../forms.ts'
import { pageRequestOf } from '../page-request.ts'
import { pathIn } from '../place.ts'
import type { Route, SignedIn } from '../route.ts'
import { adminForm, adminPage } from './admin-page.ts'
import { page } from './layout.ts'
import type { Html } from './layout.ts'
import { problemNote, problemOf } from './problem.ts'
import { when } from './when.ts'

interface Needs {
  readonly issuer: Issuer
  readonly forms: Forms
}

const path = '/console/clients'

/** The rows of the page. */
export function clientPages(needs: Needs): readonly Route[] {
  return [
    adminPage({
      path,
      words: 'The clients of this tenant, for administrators.',
      run: (visit) => clientsPage(needs, visit),
    }),
    adminForm({
      path,
      words: 'Switches a client off or on, or gives it a new secret, shown once.',
      run: (visit) => change(needs, visit),
    }),
  ]
}

async function change(needs: Needs, visit: SignedIn): Promise<Response> {
  const { principal } = visit
  const { clients } = needs.issuer
  const fields = needs.forms.read(visit, 'clients')
  const [id, action] = [fields.get('client') ?? '', fields.get('action') ?? '']
  try {
    if (action === 'rotate') {
      const { client, secret } = await clients.rotateSecret(principal, id)
      return await clientsPage(needs, visit, secret && { made: { client, secret } })
    }
    if (action !== 'disable' && action !== 'enable') {
      throw new Fault('bad_form', { because: 'the form asks for something that is not there' })
    }
    await clients.update(principal, id, { disabled: action === 'disable' })
    return redirect(path, 303)
  } catch (thrown) {
    if (!isFault(thrown) || thrown.code !== 'invalid_input') throw thrown
    return clientsPage(needs, visit, { problem: problemOf(thrown) })
  }
}

type Outcome =
  | { readonly made: { readonly client: PublicClient; readonly secret: Secret } }
  | { readonly problem: string }

const perPage = 50

async function clientsPage(
  { issuer, forms }: Needs,
  visit: SignedIn,
  outcome?: Outcome,
): Promise<Response> {
  const { principal, query, tenant } = visit
  const { items, nextCursor } = await issuer.clients.list(principal, {
    ...pageRequestOf(query),
    limit: perPage,
  })
  const { token, cookies } = forms.issue(visit, 'clients')
  const here = pathIn(tenant, path)
  const drawn = await page({
    tenant,
    title: 'Clients',
    status: outcome !== undefined && 'problem' in outcome ? 422 : 200,
    signedInAs: nameOf(principal.user),
    place: { here: 'clients', isAdmin: true },
    body: html`
      <h1>Clients</h1>
      <p class="quiet">
        The programs that may ask people here to be let in. One that is switched off gets nothing
        from its next request on.
      </p>
      ${outcome === undefined ? '' : outcomeCard(outcome)}
      <section class="card">
        ${
          items.length === 0
            ? html`<p>No program has come yet.</p>`
            : items.map((client) => clientRow(client, { token, here }))
        }
      </section>
      ${nextCursor === undefined ? '' : html`<p><a href="${here}?cursor=${nextCursor}">Show more</a></p>`}
    `,
  })
  return withCookies(drawn, cookies)
}

function outcomeCard(outcome: Outcome): Html {
  if ('problem' in outcome) return problemNote(outcome.problem)
  const { client, secret } = outcome.made
  return html`
    <section class="card" role="status">
      <h2>The new secret of <bdi>${client.name}</bdi></h2>
      <p><code>${secret.reveal()}</code></p>
      <p class="quiet">
        Copy it now: it is not shown again. The secret before it works for another day.
      </p>
    </section>
  `
}

function clientRow(
  client: PublicClient,
  { token, here }: { readonly token: string; readonly here: string },
): Html {
  const { id, name, disabled, authMethod } = client
  const hasSecret = authMethod.startsWith('client_secret')
  return html`
    <div class="row">
      <div class="wide">
        <strong><bdi>${name}</bdi></strong>
        <span class="pill">${kinds[client.kind]}</span>
        ${disabled ? html`<span class="pill attention">Switched off</span>` : ''}
        <div class="quiet"><code>${id}</code></div>
        <div class="quiet">${useOf(client)}</div>
      </div>
      <form method="post" action="${here}" class="buttons">
        <input type="hidden" name="form_token" value="${token}" />
        <input type="hidden" name="client" value="${id}" />
        ${
          hasSecret
            ? html`<button name="action" value="rotate" aria-label="New secret for ${name}">
                New secret
              </button>`
            : ''
        }
        ${
          disabled
            ? html`<button name="action" value="enable" aria-label="Switch on ${name}">
                Switch on
              </button>`
            : html`<button name="action" value="disable" aria-label="Switch off ${name}">
                Switch off
              </button>`
        }
      </form>
    </div>
  `
}

const kinds: Readonly<Record<PublicClient['kind'], string>> = {
  manual: 'Made here',
  registered: 'Registered itself',
  document: 'Describes itself',
}

function useOf({ createdAt, activeGrants, lastUsedAt }: PublicClient): Html {
  const grants = activeGrants === 1 ? '1 grant' : `${activeGrants.toLocaleString('en')} grants`
  const last = lastUsedAt === undefined ? 'not used yet' : html`last used ${when(lastUsedAt)}`
  return html`Here since ${when(createdAt)}, ${grants}, ${last}.`
}
