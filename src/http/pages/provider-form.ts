// The forms of a provider: the one for a new one, whose second half is there once the provider was found, and its own.
import { html } from 'hono/html'
import { presetOf, providerPresets } from '../../people/provider-presets.ts'
import { usualScopes, slugOf } from '../../people/provider-input.ts'
import type { Provider, ProviderFinding } from '../../people/providers.ts'
import type { Tenant } from '../../people/tenants.ts'
import { signInRedirectUri } from '../../upstream/sign-in-provider.ts'
import { pathIn } from '../place.ts'
import type { Html } from './layout.ts'
import { problemNote } from './problem.ts'
import { endpointFields, ticks, wordsOf } from './provider-fields.ts'

/** What a look at the provider gave. */
export type Look =
  | { readonly kind: 'found'; readonly finding: ProviderFinding }
  | { readonly kind: 'failed'; readonly problem: string }

interface NewForm {
  readonly token: string
  readonly tenant: Tenant
  /** What was entered; never a secret. */
  readonly fields?: URLSearchParams | undefined
  readonly look?: Look | undefined
  readonly problem?: string
}

/** Draws the form for a new one. */
export function newForm({ token, tenant, fields, look, problem }: NewForm): Html {
  const value = (name: string) => fields?.get(name) ?? ''
  return html`
    <section class="card">
      <h2>Add a provider</h2>
      ${problemNote(problem)}
      <form
        method="post"
        action="${pathIn(tenant, '/console/providers')}"
        data-live-check
        autocomplete="off"
      >
        <input type="hidden" name="form_token" value="${token}" />
        <label>
          Name
          <span class="quiet">On the sign-in page: “Continue with …”</span>
          <input name="name" maxlength="100" value="${value('name')}" required />
        </label>
        ${kindChoice(fields?.get('kind') ?? 'oidc')} ${addressField(value('issuer'))}
        ${endpointsOf((name) => value(name))}
        <div data-found>${foundPart({ tenant, look, fields })}</div>
      </form>
      <datalist id="known-providers">
        ${knownAddresses.map(
          ({ name, issuer }) => html`<option value="${issuer}">${name}</option>`,
        )}
      </datalist>
    </section>
  `
}

/** Those whose address says whose it is. */
const knownAddresses = providerPresets.filter(({ issuer }) => !issuer.startsWith('https://{'))

function kindChoice(chosen: string): Html {
  const kinds = ['oidc', 'oauth2'] as const
  return html`<fieldset>
    <legend>Kind</legend>
    ${kinds.map(
      (kind) =>
        html`<label class="tick">
          <input type="radio" name="kind" value="${kind}" ${kind === chosen ? 'checked' : ''} />
          <span>${wordsOf[kind]} <span class="quiet">${kindWords[kind]}</span></span>
        </label>`,
    )}
  </fieldset>`
}

const kindWords = {
  oidc: 'It signs an ID token. Nearly every provider does.',
  oauth2: 'It has a userinfo address instead, as GitHub does.',
} as const

function addressField(issuer: string): Html {
  return html`<label>
    OAuth server URL
    <span class="quiet">Its issuer. It is looked at while you type.</span>
    <input
      name="issuer"
      type="url"
      maxlength="1024"
      list="known-providers"
      placeholder="https://id.example.com"
      value="${issuer}"
      required
    />
  </label>`
}

const endpointWords = {
  authorizationEndpoint: 'Authorization endpoint',
  tokenEndpoint: 'Token endpoint',
  userinfoEndpoint: 'Userinfo endpoint',
  emailsEndpoint: 'E-mail addresses endpoint',
} as const

function endpointsOf(value: (name: (typeof endpointFields)[number]) => string): Html {
  const isOpen = endpointFields.some((name) => value(name) !== '')
  return html`<details ${isOpen ? 'open' : ''}>
    <summary>It publishes no metadata</summary>
    ${endpointFields.map(
      (name) =>
        html`<label>
          ${endpointWords[name]}
          <input name="${name}" type="url" maxlength="1024" value="${value(name)}" />
        </label>`,
    )}
  </details>`
}

function foundPart({ tenant, look, fields }: Pick<NewForm, 'tenant' | 'look' | 'fields'>): Html {
  if (look?.kind !== 'found') {
    return html`
      ${lookNote(look)}
      <p class="buttons">
        <button name="action" value="check">Check</button>
        <button class="primary" name="action" value="create" disabled>Create</button>
      </p>
    `
  }
  const name = fields?.get('name') ?? ''
  const redirectUri = signInRedirectUri(tenant, slugOf({ name, slug: undefined }))
  return html`
    ${lookNote(look)}
    <p>Register this redirect URL there: <code>${redirectUri}</code></p>
    <label>
      Client ID
      <input name="clientId" maxlength="1024" value="${fields?.get('clientId') ?? ''}" required />
    </label>
    ${secretField('Kept encrypted, and never shown again.')}
    <label>
      Scopes
      <input
        name="scopes"
        maxlength="1024"
        value="${fields?.get('scopes') ?? usualScopesOf(fields)}"
      />
    </label>
    ${tickList((tick) => fields?.get(tick) === 'on')}
    <p class="buttons">
      <button class="primary" name="action" value="create">Create</button>
    </p>
  `
}

function usualScopesOf(fields: URLSearchParams | undefined): string {
  return presetOf(fields?.get('issuer'))?.scopes ?? usualScopes
}

/** What the look gave, with a sign that does not only live in its colour. */
function lookNote(look: Look | undefined): Html {
  if (look === undefined) return html``
  return look.kind === 'failed'
    ? html`<p class="warning" role="alert"><span aria-hidden="true">✗</span> ${look.problem}</p>`
    : html`<p class="note good" role="status">
        <span aria-hidden="true">✓</span> Found <bdi>${look.finding.issuer}</bdi>.
      </p>`
}

function secretField(words: string): Html {
  return html`<label>
    Client secret <span class="quiet">${words}</span>
    <span class="with-button">
      <input name="clientSecret" type="password" maxlength="1024" autocomplete="off" data-secret />
      <button type="button" data-reveal hidden>Show</button>
    </span>
  </label>`
}

const tickWords = {
  emailsAreVerified: 'Its e-mail addresses are proven, even where it does not say so',
  linksVerifiedEmail: 'A person who has the same proven address here is the same person',
  keepsTokens: 'Keep the tokens of a sign-in, so that servers can be reached with them',
} as const

function tickList(isOn: (tick: (typeof ticks)[number]) => boolean): Html {
  return html`<fieldset>
    <legend>People</legend>
    ${ticks.map(
      (tick) =>
        html`<label class="tick">
          <input type="checkbox" name="${tick}" ${isOn(tick) ? 'checked' : ''} />
          <span>${tickWords[tick]}</span>
        </label>`,
    )}
  </fieldset>`
}

interface OwnForm {
  readonly token: string
  readonly provider: Provider
  readonly action: string
  readonly fields?: URLSearchParams
  readonly look?: Look
}

/** Draws its own form, and the one that removes it. */
export function ownForm({ token, provider, action, fields, look }: OwnForm): Html {
  const isWritten = provider.kind === 'oauth2'
  const value = (name: 'name' | 'issuer' | 'clientId' | 'scopes') =>
    fields?.get(name) ?? provider[name]
  const secretWords = provider.hasClientSecret
    ? 'Leave it empty to keep the one that is there.'
    : 'There is none.'
  return html`
    <section class="card">
      <dl class="facts">
        <dt>Kind</dt>
        <dd>${wordsOf[provider.kind]}</dd>
        <dt>Redirect URL</dt>
        <dd><code>${provider.redirectUri}</code></dd>
        <dt>Back-channel logout URL</dt>
        <dd><code>${provider.backchannelLogoutUri}</code></dd>
      </dl>
      <form method="post" action="${action}" data-live-check autocomplete="off">
        <input type="hidden" name="form_token" value="${token}" />
        <label>Name <input name="name" maxlength="100" value="${value('name')}" required /></label>
        ${addressField(value('issuer'))}
        ${isWritten ? endpointsOf((name) => fields?.get(name) ?? provider[name] ?? '') : ''}
        <div data-found>${lookNote(look)}</div>
        <label>
          Client ID
          <input name="clientId" maxlength="1024" value="${value('clientId')}" required />
        </label>
        ${secretField(secretWords)}
        <label>Scopes <input name="scopes" maxlength="1024" value="${value('scopes')}" /></label>
        ${tickList((tick) => (fields === undefined ? provider[tick] : fields.get(tick) === 'on'))}
        <p class="buttons">
          <button class="primary" name="action" value="save">Save</button>
          <button name="action" value="check">Check the address</button>
        </p>
      </form>
    </section>
    <details class="card">
      <summary>Remove this provider</summary>
      <p>Whoever came in by it is signed out, and the apps that they let in lose their access.</p>
      <form method="post" action="${action}">
        <input type="hidden" name="form_token" value="${token}" />
        <button name="action" value="remove">Remove <bdi>${provider.name}</bdi></button>
      </form>
    </details>
  `
}
