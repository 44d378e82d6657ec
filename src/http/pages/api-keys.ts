// API keys, for administrators: which there are and whose, one more for oneself, shown once, and the button that takes one
// back. Works without scripts.
import { html } from 'hono/html'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { Secret } from '../../base/secret.ts'
import type {
  AdministeredApiKey,
  ApiKeyAdministration,
} from '../../people/api-key-administration.ts'
import { apiKeyNameMaxCharacters, apiKeyScopes } from '../../people/api-keys.ts'
import type { ApiKeys, ApiKeyScope } from '../../people/api-keys.ts'
import { nameOf } from '../../people/users.ts'
import type { Forms } from '../forms.ts'
import { withCookies } from '../forms.ts'
import { pageRequestOf } from '../page-request.ts'
import { pathIn } from '../place.ts'
import type { Route, SignedIn } from '../route.ts'
import { adminForm, adminPage } from './admin-page.ts'
import { page } from './layout.ts'
import type { Html } from './layout.ts'
import { problemNote, refusalOf } from './problem.ts'
import type { Refusal } from './problem.ts'
import { ago, when } from './when.ts'
import { words } from './words.ts'

interface Needs {
  readonly apiKeys: ApiKeys
  readonly apiKeyAdministration: ApiKeyAdministration
  readonly forms: Forms
  readonly clock: Clock
}

const path = '/console/api-keys'
const say = words.apiKeys

/** The rows of the page. */
export function apiKeyPages(needs: Needs): readonly Route[] {
  return [
    adminPage({
      path,
      words: 'The API keys of this tenant, for administrators.',
      run: (visit) => keysPage(needs, visit),
    }),
    adminForm({
      path,
      words: 'Makes an API key, shown once, or takes one back.',
      run: (visit) => change(needs, visit),
    }),
  ]
}

/** What is shown besides what is stored. */
interface Shown {
  readonly made?: { readonly name: string; readonly key: Secret }
  readonly note?: string
  readonly refusal?: Refusal
  readonly fields?: URLSearchParams
}

async function change(needs: Needs, visit: SignedIn): Promise<Response> {
  const fields = needs.forms.read(visit, 'api-keys')
  try {
    return await keysPage(needs, visit, await act(needs, visit, fields))
  } catch (thrown) {
    const refusal = refusalOf(thrown)
    return keysPage(needs, visit, fields.has('name') ? { fields, refusal } : { refusal })
  }
}

async function act(
  { apiKeys, apiKeyAdministration, clock }: Needs,
  { principal }: SignedIn,
  fields: URLSearchParams,
): Promise<Shown> {
  const action = fields.get('action')
  if (action === 'end') {
    await apiKeyAdministration.end(principal, fields.get('key') ?? '')
    return { note: say.takenBack }
  }
  if (action !== 'make') {
    throw new Fault('bad_form', { because: 'the form asks for something that is not there' })
  }
  const name = (fields.get('name') ?? '').trim()
  const days = Number(lifetimeIn(fields))
  const { key } = await apiKeys.create(principal, {
    name,
    scopes: scopesIn(fields),
    ...(Number.isNaN(days) ? {} : { expiresAt: clock.now() + days * dayMs }),
  })
  return { made: { name, key } }
}

const dayMs = 86_400_000
const usualLifetime = '90'

function lifetimeIn(fields: URLSearchParams | undefined): string {
  const chosen = fields?.get('lifetime') ?? usualLifetime
  return Object.keys(say.lifetimes).find((one) => one === chosen) ?? usualLifetime
}

function scopesIn(fields: URLSearchParams): readonly ApiKeyScope[] {
  return apiKeyScopes.filter((scope) => fields.getAll('scope').includes(scope))
}

const perPage = 50

async function keysPage(
  { apiKeyAdministration, forms, clock }: Needs,
  visit: SignedIn,
  { made, note, refusal, fields }: Shown = {},
): Promise<Response> {
  const { principal, query, tenant } = visit
  const asked = { ...pageRequestOf(query), limit: perPage }
  const { items, nextCursor } = await apiKeyAdministration.page(principal, asked)
  const { token, cookies } = forms.issue(visit, 'api-keys')
  const here = pathIn(tenant, path)
  const rowFacts = { token, here, now: clock.now(), callerId: principal.user.id }
  const drawn = await page({
    tenant,
    title: say.title,
    status: refusal?.status ?? 200,
    signedInAs: nameOf(principal.user),
    place: { here: 'api-keys', isAdmin: true },
    body: html`
      <h1>${say.title}</h1>
      <p class="quiet">${say.lead}</p>
      ${note === undefined ? '' : html`<p class="note good" role="status">${note}</p>`}
      ${problemNote(refusal?.problem)} ${made === undefined ? '' : madeCard(made)}
      <section class="card">
        ${items.length === 0 ? html`<p>${say.none}</p>` : items.map((key) => keyRow(key, rowFacts))}
      </section>
      ${
        nextCursor === undefined
          ? ''
          : html`<p><a href="${here}?cursor=${nextCursor}">${words.common.showMore}</a></p>`
      }
      ${makeForm({ token, here, fields })}
    `,
  })
  return withCookies(drawn, cookies)
}

function madeCard({ name, key }: NonNullable<Shown['made']>): Html {
  return html`<section class="card" role="status">
    <h2>${say.keyOf} <bdi>${name}</bdi></h2>
    <p><code>${key.reveal()}</code></p>
    <p class="quiet">${say.keyHint}</p>
  </section>`
}

interface RowFacts {
  readonly token: string
  readonly here: string
  readonly now: number
  readonly callerId: string
}

function keyRow(key: AdministeredApiKey, facts: RowFacts): Html {
  const { id, name, scopes, userId, email, createdAt, expiresAt, mayBeEnded } = key
  const isExpired = expiresAt !== undefined && expiresAt <= facts.now
  return html`
    <div class="row">
      <div class="wide">
        <strong><bdi>${name}</bdi></strong>
        ${userId === facts.callerId ? html`<span class="pill">${say.yours}</span>` : ''}
        ${isExpired ? html`<span class="pill attention">${say.expired}</span>` : ''}
        <ul class="scopes">
          ${scopes.map((scope) => html`<li>${mayOf(scope)}</li>`)}
        </ul>
        <div class="quiet">
          ${say.of} <bdi>${email ?? userId}</bdi> · ${say.made} ${ago(createdAt, facts.now)} ·
          ${endOf(expiresAt, isExpired)}
        </div>
        <div class="quiet"><code>${id}</code></div>
      </div>
      ${mayBeEnded ? endForm({ id, name }, facts) : ''}
    </div>
  `
}

function mayOf(scope: string): string {
  const known = apiKeyScopes.find((one) => one === scope)
  return known === undefined ? scope : say.may[known]
}

function endOf(expiresAt: number | undefined, isExpired: boolean): Html {
  if (expiresAt === undefined) return html`${say.forever}`
  return html`${isExpired ? say.wasUntil : say.until} ${when(expiresAt)}`
}

function endForm(
  { id, name }: { readonly id: string; readonly name: string },
  { token, here }: RowFacts,
): Html {
  return html`<details>
    <summary aria-label="${say.takeBack}: ${name}">${say.takeBack}</summary>
    <p>${say.takeBackMeans}</p>
    <form method="post" action="${here}">
      <input type="hidden" name="form_token" value="${token}" />
      <input type="hidden" name="key" value="${id}" />
      <button name="action" value="end" aria-label="${say.takeBack}: ${name}">
        ${say.takeBack}
      </button>
    </form>
  </details>`
}

interface MakeForm {
  readonly token: string
  readonly here: string
  /** What was typed in vain. */
  readonly fields: URLSearchParams | undefined
}

function makeForm({ token, here, fields }: MakeForm): Html {
  const ticked = fields === undefined ? ['api'] : scopesIn(fields)
  const lifetime = lifetimeIn(fields)
  return html`<section class="card">
    <h2>${say.make}</h2>
    <p class="quiet">${say.makeHint}</p>
    <form method="post" action="${here}" autocomplete="off">
      <input type="hidden" name="form_token" value="${token}" />
      <label>
        ${say.name} <span class="quiet">${say.nameHint}</span>
        <input
          name="name"
          maxlength="${apiKeyNameMaxCharacters}"
          value="${fields?.get('name') ?? ''}"
          required
        />
      </label>
      <fieldset>
        <legend>${say.mayLegend}</legend>
        ${apiKeyScopes.map(
          (scope) =>
            html`<label class="tick">
              <input
                type="checkbox"
                name="scope"
                value="${scope}"
                ${ticked.includes(scope) ? 'checked' : ''}
              />
              <span
                >${say.may[scope]} <span class="quiet"><code>${scope}</code></span></span
              >
            </label>`,
        )}
      </fieldset>
      <label>
        ${say.ends}
        <select name="lifetime">
          ${Object.entries(say.lifetimes).map(
            ([value, text]) =>
              html`<option value="${value}" ${value === lifetime ? 'selected' : ''}>
                ${text}
              </option>`,
          )}
        </select>
      </label>
      <p class="buttons">
        <button class="primary" name="action" value="make">${say.makeButton}</button>
      </p>
    </form>
  </section>`
}
