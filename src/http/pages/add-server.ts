// The form that adds a server, and what it says. Which fields show is decided by the style sheet, so it needs no script.
import { html } from 'hono/html'
import type { ServerInput } from '../../connectors/servers.ts'
import type { SessionPrincipal } from '../../people/principal.ts'
import type { Provider, Providers } from '../../people/providers.ts'
import type { Tenant } from '../../people/tenants.ts'
import { pathIn } from '../place.ts'
import type { Html } from './layout.ts'
import { problemNote } from './problem.ts'

/** Where the form goes, and the name that its token is made for. */
export const serversPath = '/console/servers'
export const serversForm = 'servers'

/** The providers of a tenant whose tokens a server may take. */
export async function keepingTokens(
  providers: Pick<Providers, 'list'>,
  by: SessionPrincipal,
): Promise<readonly Provider[]> {
  const { items } = await providers.list(by)
  return items.filter(({ keepsTokens }) => keepsTokens)
}

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
      <form method="post" action="${pathIn(tenant, serversPath)}" class="add" data-add>
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
        ${waysOf({ providers })} ${providerChoice(providers)}
        ${headerFields({ hint: 'Kept encrypted, and never shown again.' })}
        <p>
          <button class="primary with-sign-in">Save &amp; sign in</button>
          <button class="primary with-headers">Save connector</button>
        </p>
      </form>
    </section>
  `
}

const toFind = { auth: 'oauth', words: 'OAuth (auto-discover)', hint: '' } as const
const allWays = [
  { auth: 'headers', words: 'API key / headers', hint: '' },
  { auth: 'assertion', words: 'Signed assertion', hint: 'The server checks our signature.' },
  {
    auth: 'provider',
    words: 'The person’s own sign-in',
    hint: 'It takes the tokens of a sign-in provider.',
  },
] as const
const known = [
  { auth: 'oauth', words: 'OAuth', hint: '' },
  { auth: 'none', words: 'None', hint: 'The server is open to everybody.' },
] as const

interface Ways {
  readonly providers: AddForm['providers']
  /** How a server that there is already is reached; without one, what is found is offered first. */
  readonly chosen?: string | undefined
}

/** The ways to reach a server. */
export function waysOf({ providers, chosen }: Ways): Html {
  const first = chosen === undefined ? [toFind] : known
  const offered = allWays.filter(({ auth }) => auth !== 'provider' || providers.length > 0)
  return html`<fieldset>
    <legend>Authentication</legend>
    ${[...first, ...offered].map(
      ({ auth, words, hint }) =>
        html`<label class="tick">
          <input
            type="radio"
            name="auth"
            value="${auth}"
            ${auth === (chosen ?? toFind.auth) ? 'checked' : ''}
          />
          <span>${words} ${hint === '' ? '' : html`<span class="quiet">${hint}</span>`}</span>
        </label>`,
    )}
  </fieldset>`
}

/** Whose tokens the server takes; nothing where no provider keeps any. */
export function providerChoice(providers: AddForm['providers'], chosen?: string): Html {
  if (providers.length === 0) return html``
  return html`<div class="provider">
    <label>
      Sign-in provider
      <select name="provider">
        ${providers.map(
          ({ id, name }) =>
            html`<option value="${id}" ${id === chosen ? 'selected' : ''}>${name}</option>`,
        )}
      </select>
    </label>
  </div>`
}

/** A header and its value, which only goes in. */
export function headerFields({
  header = '',
  hint,
}: {
  readonly header?: string | undefined
  readonly hint: string
}): Html {
  return html`<div class="headers">
    <label>
      Header
      <input name="header" maxlength="100" placeholder="Authorization" value="${header}" />
    </label>
    <label>
      Value <input name="value" type="password" maxlength="4096" autocomplete="off" />
      <span class="quiet">${hint}</span>
    </label>
  </div>`
}
