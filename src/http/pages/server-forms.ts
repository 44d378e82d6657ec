// The forms of a server's page, each folded away until it is wanted, with words that say what ends when it is sent.
import { html } from 'hono/html'
import type { PublicServer, ToolScope } from '../../connectors/servers.ts'
import type { Provider } from '../../people/providers.ts'
import { headerFields, providerChoice, waysOf } from './add-server.ts'
import { choice, foldedForm, lines, tick } from './form-parts.ts'
import type { Html } from './layout.ts'
import { toolScopesOf, whoIn } from './server-fields.ts'
import { words } from './words.ts'

const said = words.server

interface ServerForm {
  readonly server: PublicServer
  readonly token: string
  readonly action: string
  readonly isOpen: boolean
  /** What was entered in vain; never a secret. */
  readonly fields: URLSearchParams | undefined
}

interface ChangeForm extends ServerForm {
  readonly providers: readonly Pick<Provider, 'id' | 'name'>[]
  readonly signIns: number
}

/** Name, address, and how it is reached. */
export function changeForm(form: ChangeForm): Html {
  const { server, fields, providers, signIns } = form
  const { change } = said
  const value = (name: 'name' | 'slug' | 'url') => fields?.get(name) ?? server[name]
  const auth = fields?.get('auth') ?? server.auth
  return foldedForm({
    ...form,
    name: 'change',
    className: 'add',
    title: change.title,
    button: change.save,
    body: html`
      ${endsNote(signIns)}
      <label>
        ${change.name} <input name="name" maxlength="80" value="${value('name')}" required />
      </label>
      <label>
        ${change.slug} <span class="quiet">${change.slugHint}</span>
        <input name="slug" maxlength="36" value="${value('slug')}" required />
      </label>
      <label>
        ${change.url}
        <input name="url" type="url" maxlength="500" value="${value('url')}" required />
      </label>
      ${waysOf({ providers, chosen: auth })}
      ${providerChoice(providers, fields?.get('provider') ?? server.providerId)}
      ${headerFields({
        header: fields?.get('header') ?? server.headerNames[0],
        hint: change.headersHint,
      })}
      ${clientFields(server, fields)}
    `,
  })
}

function endsNote(signIns: number): Html {
  const { change } = said
  if (signIns === 0) return html`<p class="quiet">${change.endsNone} ${change.enterAgain}</p>`
  const ending = signIns === 1 ? change.endsOne : `${signIns} ${change.endsMany}`
  return html`<p class="warning">
    ${change.endsWith} ${ending} ${change.endsNothing} ${change.enterAgain}
  </p>`
}

function clientFields(server: PublicServer, fields: URLSearchParams | undefined): Html {
  const { change } = said
  const { hasClientSecret } = server
  return html`<div class="client">
    <label>
      ${change.clientId}
      ${server.clientId === undefined ? html`<span class="quiet">${change.clientIdHint}</span>` : ''}
      <input
        name="clientId"
        maxlength="500"
        value="${fields?.get('clientId') ?? server.clientId ?? ''}"
      />
    </label>
    <label>
      ${change.clientSecret}
      <span class="quiet">${hasClientSecret ? change.keepSecret : change.noSecret}</span>
      <input name="clientSecret" type="password" maxlength="2000" autocomplete="off" />
    </label>
    <label>
      ${change.scopes} <span class="quiet">${change.scopesHint}</span>
      <input
        name="scopes"
        maxlength="1000"
        value="${fields?.get('scopes') ?? server.scopes ?? ''}"
      />
    </label>
  </div>`
}

/** Which tools may be called at all. */
export function policyForm(form: ServerForm): Html {
  const { server, fields } = form
  const { policy } = said
  const { allow, deny = [], readOnly = false } = server.toolPolicy ?? {}
  const isNamed = fields === undefined ? allow !== undefined : fields.get('which') === 'named'
  const onlyReading = fields === undefined ? readOnly : fields.get('readOnly') === 'on'
  return foldedForm({
    ...form,
    name: 'policy',
    title: policy.title,
    button: policy.save,
    body: html`
      <p class="quiet">${policy.intro}</p>
      ${tick({ name: 'readOnly', text: policy.readOnly, isOn: onlyReading })}
      ${choice({
        name: 'which',
        legend: policy.which,
        chosen: isNamed ? 'named' : 'every',
        options: { every: policy.every, named: policy.named },
      })}
      ${lines({
        name: 'allow',
        label: policy.allow,
        hint: policy.patternHint,
        text: fields?.get('allow') ?? (allow ?? []).join('\n'),
        className: 'named',
      })}
      ${lines({
        name: 'deny',
        label: policy.deny,
        hint: policy.patternHint,
        text: fields?.get('deny') ?? deny.join('\n'),
      })}
    `,
  })
}

/** What each scope of the tenant opens. */
export function scopesForm(form: ServerForm & { readonly known: readonly string[] }): Html {
  const { server, fields, known } = form
  const { scopes } = said
  const listed = fields === undefined ? (server.toolScopes ?? []) : toolScopesOf(fields)
  return foldedForm({
    ...form,
    name: 'scopes',
    title: scopes.title,
    button: scopes.save,
    body: html`
      <p class="quiet">${scopes.intro}</p>
      <p class="quiet">${said.policy.patternHint}</p>
      ${[...listed, undefined].map((one) => scopeFields(one, known))}
    `,
  })
}

function scopeFields(listed: ToolScope | undefined, known: readonly string[]): Html {
  const { scopes } = said
  const { scope = '', tools = [] } = listed ?? {}
  const options = scope === '' || known.includes(scope) ? known : [scope, ...known]
  return html`<fieldset>
    <legend>${listed === undefined ? scopes.another : html`<bdi>${scope}</bdi>`}</legend>
    <label>
      ${scopes.scope}
      <select name="scope">
        <option value="">${scopes.none}</option>
        ${options.map(
          (name) =>
            html`<option value="${name}" ${name === scope ? 'selected' : ''}>${name}</option>`,
        )}
      </select>
    </label>
    <label>
      ${scopes.tools}
      <textarea name="tools" rows="3" spellcheck="false">${tools.join('\n')}</textarea>
    </label>
  </fieldset>`
}

/** Who may use it, and what it is told of them. */
export function accessForm(form: ServerForm & { readonly people: readonly string[] }): Html {
  const { server, fields, people } = form
  const { access } = said
  const isTold =
    fields === undefined ? server.identityHeaders : fields.get('identityHeaders') === 'on'
  return foldedForm({
    ...form,
    name: 'access',
    title: access.title,
    button: access.save,
    body: html`
      ${choice({
        name: 'who',
        legend: access.who,
        chosen: fields?.get('who') ?? whoIn(server.mayUse),
        options: { everybody: access.everybody, admins: access.admins, named: access.named },
      })}
      ${lines({
        name: 'people',
        label: access.people,
        hint: access.peopleHint,
        text: fields?.get('people') ?? people.join('\n'),
        className: 'named',
      })}
      <fieldset>
        <legend>${access.told}</legend>
        ${tick({ name: 'identityHeaders', text: access.identityHeaders, isOn: isTold })}
      </fieldset>
    `,
  })
}

/** Asks before it removes. */
export function removeForm(form: ServerForm & { readonly signIns: number }): Html {
  const { remove } = said
  return foldedForm({
    ...form,
    name: 'remove',
    isPlain: true,
    title: remove.title,
    button: html`${remove.button} <bdi>${form.server.name}</bdi>`,
    body: html`<p>${remove.intro} ${remove.now} ${form.signIns}.</p>`,
  })
}
