// Sign-in providers, for administrators: those that there are, one more, and each on a page of its own. A provider is looked at
// before it can be entered; with a script that happens by itself, without one by a button. Secrets go in and never come back.
import { html } from 'hono/html'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { Servers } from '../../connectors/servers.ts'
import type { Provider, ProviderFinding, Providers } from '../../people/providers.ts'
import { nameOf } from '../../people/users.ts'
import { redirect } from '../answers.ts'
import type { Forms } from '../forms.ts'
import { withCookies } from '../forms.ts'
import { pathIn } from '../place.ts'
import type { Route, SignedIn } from '../route.ts'
import { adminForm, adminPage } from './admin-page.ts'
import { page } from './layout.ts'
import type { Html } from './layout.ts'
import { problemIn, problemNote } from './problem.ts'
import { newForm, ownForm } from './provider-form.ts'
import { changeOf, placeOf, providerOf, wordsOf } from './provider-fields.ts'
import type { Look } from './provider-form.ts'
import { ago } from './when.ts'

interface Needs {
  readonly providers: Providers
  readonly servers: Pick<Servers, 'perProvider'>
  readonly forms: Forms
  readonly clock: Clock
}

const path = '/console/providers'
const onePath = `${path}/{provider}`

/** The rows of the pages. */
export function providerPages(needs: Needs): readonly Route[] {
  return [
    adminPage({
      path,
      words: 'The providers at which people of this tenant sign in, for administrators.',
      run: (visit) => providersPage(needs, visit),
    }),
    adminForm({
      path,
      words: 'Looks at a provider, or enters it.',
      run: (visit) => enter(needs, visit),
    }),
    adminPage({
      path: onePath,
      words: 'One provider, to be changed or removed.',
      run: async (visit) => providerPage(needs, visit, await providerAt(needs, visit)),
    }),
    adminForm({
      path: onePath,
      words: 'Looks at another address of a provider, changes it, or removes it.',
      run: (visit) => change(needs, visit),
    }),
  ]
}

function providerAt({ providers }: Needs, { principal, params }: SignedIn): Promise<Provider> {
  return providers.get(principal, params['provider'] ?? '')
}

async function enter(needs: Needs, visit: SignedIn): Promise<Response> {
  const fields = needs.forms.read(visit, 'providers')
  const look = await lookedAt(needs, visit, fields)
  if (fields.get('action') !== 'create' || look.kind !== 'found') {
    return providersPage(needs, visit, { fields, look })
  }
  try {
    const { id } = await needs.providers.create(visit.principal, providerOf(fields))
    return redirect(`${path}/${id}`, 303)
  } catch (thrown) {
    return providersPage(needs, visit, { fields, look, problem: problemIn(thrown).words })
  }
}

async function change(needs: Needs, visit: SignedIn): Promise<Response> {
  const provider = await providerAt(needs, visit)
  const fields = needs.forms.read(visit, 'providers')
  try {
    const said = await act(needs, visit, provider, fields)
    if (said === 'removed') return redirect(path, 303)
    return await providerPage(needs, visit, await providerAt(needs, visit), said)
  } catch (thrown) {
    return providerPage(needs, visit, provider, { fields, problem: problemIn(thrown).words })
  }
}

async function act(
  needs: Needs,
  visit: SignedIn,
  provider: Provider,
  fields: URLSearchParams,
): Promise<Shown | 'removed'> {
  const { providers } = needs
  const { principal } = visit
  const action = fields.get('action')
  if (action === 'remove') {
    await providers.remove(principal, provider.id)
    return 'removed'
  }
  const changed = changeOf(provider, fields)
  if (action === 'check') {
    const look = await lookedAt(needs, visit, placed(provider, fields))
    return { fields, look }
  }
  if (action !== 'save') {
    throw new Fault('bad_form', { because: 'the form asks for something that is not there' })
  }
  if (Object.keys(changed).length === 0) return { note: 'There are no changes to save.' }
  await providers.update(principal, provider.id, changed)
  return { note: 'Saved.' }
}

/** The kind cannot be changed, so the form does not send it. */
function placed({ kind }: Provider, fields: URLSearchParams): URLSearchParams {
  return new URLSearchParams([...fields, ['kind', kind]])
}

/** S4-41: what the provider says about itself, or why it cannot be asked. */
async function lookedAt(
  { providers }: Needs,
  { principal }: SignedIn,
  fields: URLSearchParams,
): Promise<Look> {
  try {
    const finding: ProviderFinding = await providers.check(principal, placeOf(fields))
    return { kind: 'found', finding }
  } catch (thrown) {
    return { kind: 'failed', problem: problemIn(thrown).words }
  }
}

/** What is shown besides what is stored. */
interface Shown {
  readonly fields?: URLSearchParams
  readonly look?: Look
  readonly problem?: string
  readonly note?: string
}

function statusOf({ look, problem }: Shown): 200 | 422 {
  return problem !== undefined || look?.kind === 'failed' ? 422 : 200
}

async function providersPage(
  { providers, servers, forms, clock }: Needs,
  visit: SignedIn,
  shown: Shown = {},
): Promise<Response> {
  const { principal, tenant } = visit
  const [{ items }, uses] = await Promise.all([
    providers.list(principal),
    servers.perProvider(tenant),
  ])
  const { token, cookies } = forms.issue(visit, 'providers')
  const drawn = await page({
    tenant,
    title: 'Sign-in providers',
    status: statusOf(shown),
    signedInAs: nameOf(principal.user),
    script: 'providers.js',
    place: { here: 'providers', isAdmin: true },
    body: html`
      <h1>Sign-in providers</h1>
      <p class="quiet">
        Where people sign in with an account that they have already. Their passwords stay there.
      </p>
      <section class="card">
        ${
          items.length === 0
            ? html`<p>There is no provider yet. People sign in with a password.</p>`
            : items.map((provider) =>
                providerRow(provider, {
                  now: clock.now(),
                  uses: uses.get(provider.id) ?? 0,
                  here: pathIn(tenant, path),
                }),
              )
        }
      </section>
      ${newForm({ token, tenant, ...shown })}
    `,
  })
  return withCookies(drawn, cookies)
}

function providerRow(
  provider: Provider,
  { now, uses, here }: { readonly now: number; readonly uses: number; readonly here: string },
): Html {
  const { id, name, issuer, clientId, createdAt } = provider
  const { host } = new URL(issuer)
  return html`
    <div class="row">
      <div class="wide">
        <strong><bdi>${name}</bdi></strong>
        <span class="pill">${wordsOf[provider.kind]}</span>
        <div class="quiet">
          <a href="${issuer}" rel="noreferrer noopener" target="_blank">${host}</a> · Client ID
          <code>${clientId}</code>
        </div>
        <div class="quiet">${usesIn(uses)} · Added ${ago(createdAt, now)}</div>
      </div>
      <p class="buttons">
        <a class="button" href="${here}/${id}" aria-label="Edit ${name}">Edit</a>
      </p>
    </div>
  `
}

/** Whether a server is reached with its tokens. */
function usesIn(uses: number): string {
  if (uses === 0) return 'Unused by servers'
  return uses === 1 ? '1 server' : `${uses} servers`
}

async function providerPage(
  { forms }: Needs,
  visit: SignedIn,
  provider: Provider,
  shown: Shown = {},
): Promise<Response> {
  const { tenant } = visit
  const { token, cookies } = forms.issue(visit, 'providers')
  const drawn = await page({
    tenant,
    title: provider.name,
    status: statusOf(shown),
    signedInAs: nameOf(visit.principal.user),
    script: 'providers.js',
    place: { here: 'providers', isAdmin: true },
    body: html`
      <p><a href="${pathIn(tenant, path)}">All providers</a></p>
      <h1><bdi>${provider.name}</bdi></h1>
      ${shown.note === undefined ? '' : html`<p class="note" role="status">${shown.note}</p>`}
      ${problemNote(shown.problem)}
      ${ownForm({ token, provider, action: pathIn(tenant, `${path}/${provider.id}`), ...shown })}
    `,
  })
  return withCookies(drawn, cookies)
}
