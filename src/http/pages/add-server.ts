// The form that adds a server, and what it says. Which fields show is decided by the style sheet, so it needs no script.
import { html } from 'hono/html'
import type { ServerInput } from '../../connectors/servers.ts'
import type { Provider } from '../../people/providers.ts'
import type { Tenant } from '../../people/tenants.ts'
import { pathIn } from '../place.ts'
import type { Html } from './layout.ts'
import { problemNote } from './problem.ts'

/** What was entered in vain. */
export interface FailedForm {
  readonly url: string
  readonly name: string
  readonly problem: string
}

/** The server that the form describes. */
export function serverOf(fields: URLSearchParams): ServerInput {
  const text = (field: string) => (fields.get(field) ?? '').trim()
  const name = text('name')
  const header = text('header')
  const auth = fields.get('auth')
  const isByHeader = auth === 'headers' && header !== ''
  return {
    url: fields.get('url') ?? '',
    ...(name === '' ? {} : { name }),
    ...(isByHeader ? { auth, headers: { [header]: fields.get('value') ?? '' } } : {}),
    ...(auth === 'assertion' ? { auth } : {}),
    ...(auth === 'provider' ? { auth, providerId: text('provider') } : {}),
  }
}

interface AddForm {
  readonly tenant: Tenant
  readonly token: string
  readonly failed?: FailedForm | undefined
  /** Those whose tokens a server may take. */
  readonly providers: readonly Pick<Provider, 'id' | 'name'>[]
}

/** Draws the form. */
export function addForm({ tenant, token, failed, providers }: AddForm): Html {
  return html`
    <section class="card">
      <h2>Add a server</h2>
      <p class="quiet">Only add servers that you trust.</p>
      ${problemNote(failed?.problem)}
      <form method="post" action="${pathIn(tenant, '/console/servers')}" class="add" data-add>
        <input type="hidden" name="form_token" value="${token}" />
        <label>
          URL
          <input
            name="url"
            type="url"
            value="${failed?.url ?? ''}"
            placeholder="https://mcp.example.com/mcp"
            required
          />
        </label>
        <label>
          Name <span class="quiet">Optional.</span>
          <input name="name" maxlength="80" value="${failed?.name ?? ''}" />
        </label>
        ${ways(providers.length > 0)} ${providers.length === 0 ? '' : providerChoice(providers)}
        <div class="headers">
          <label>Header <input name="header" maxlength="100" placeholder="Authorization" /></label>
          <label>
            Value <input name="value" type="password" maxlength="4096" autocomplete="off" />
            <span class="quiet">Kept encrypted, and never shown again.</span>
          </label>
        </div>
        <p>
          <button class="primary with-sign-in">Save &amp; sign in</button>
          <button class="primary with-headers">Save connector</button>
        </p>
      </form>
    </section>
  `
}

const allWays = [
  { auth: 'oauth', words: 'OAuth (auto-discover)', hint: '' },
  { auth: 'headers', words: 'API key / headers', hint: '' },
  { auth: 'assertion', words: 'Signed assertion', hint: 'The server checks our signature.' },
  {
    auth: 'provider',
    words: 'The person’s own sign-in',
    hint: 'It takes the tokens of a sign-in provider.',
  },
] as const

function ways(hasProviders: boolean): Html {
  return html`<fieldset>
    <legend>Authentication</legend>
    ${allWays
      .filter(({ auth }) => hasProviders || auth !== 'provider')
      .map(
        ({ auth, words, hint }) =>
          html`<label class="tick">
            <input type="radio" name="auth" value="${auth}" ${auth === 'oauth' ? 'checked' : ''} />
            <span>${words} ${hint === '' ? '' : html`<span class="quiet">${hint}</span>`}</span>
          </label>`,
      )}
  </fieldset>`
}

function providerChoice(providers: AddForm['providers']): Html {
  return html`<div class="provider">
    <label>
      Sign-in provider
      <select name="provider">
        ${providers.map(({ id, name }) => html`<option value="${id}">${name}</option>`)}
      </select>
    </label>
  </div>`
}
