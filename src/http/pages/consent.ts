// The consent page: whom you let in, where it runs, what it may do, as whom. Works without scripts.
import { html } from 'hono/html'
import type { AuthorizeStep } from '../../issuer/authorize.ts'
import type { RequestView } from '../../issuer/consent.ts'
import type { ShownScope } from '../../issuer/scopes.ts'
import type { Tenant } from '../../people/tenants.ts'
import { pathIn } from '../place.ts'
import { page } from './layout.ts'
import type { Html } from './layout.ts'

type ConsentStep = Extract<AuthorizeStep, { kind: 'consent' }>

/** Draws the question; the answer is bound to this person, this browser and this request by the form token. */
export function consentPage(
  tenant: Tenant,
  { requestId, formToken, view, problem }: ConsentStep,
): Promise<Response> {
  return page({
    tenant,
    title: `Let ${view.clientName} in?`,
    status: problem === undefined ? 200 : 422,
    signedInAs: view.userEmail,
    formsLeadTo: 'anywhere',
    body: html`
      <section class="card narrow">
        <h1>Let <bdi>${view.clientName}</bdi> in?</h1>
        <p>
          <bdi>${view.clientName}</bdi> asks to use
          <strong><bdi>${view.serverName}</bdi></strong> as <strong>${view.userEmail}</strong>.
        </p>
        ${badge(view)}
        <dl class="facts">
          <dt>Answers go to</dt>
          <dd><code>${view.redirectHost}</code></dd>
          <dt>Server</dt>
          <dd><code>${view.resource}</code></dd>
        </dl>
        ${warning(view)}
        <form method="post" action="${pathIn(tenant, '/oauth/consent')}">
          <input type="hidden" name="request" value="${requestId}" />
          <input type="hidden" name="form_token" value="${formToken}" />
          ${scopeTicks(view, problem)} ${keptNote(tenant)}
          <div class="buttons">
            <button class="primary" name="decision" value="approve">Approve</button>
            <button name="decision" value="deny">Deny</button>
          </div>
          <p class="quiet">
            You can take this back at any time under
            <a href="${pathIn(tenant, '/console/apps')}">Apps with access</a>.
          </p>
        </form>
      </section>
    `,
  })
}

/** The part of a form in which a person says what they give, with a name for each in `scope`. */
export function scopeTicks({ scopes }: RequestView, problem: 'nothing_ticked' | undefined): Html {
  const isOnly = scopes.length === 1
  return html`<fieldset>
    <legend>It may</legend>
    ${isOnly ? '' : html`<p class="quiet">Untick what you do not want to give.</p>`}
    ${problem === undefined ? '' : nothingTicked}
    <ul class="scopes">
      ${scopes.map((scope) => scopeLine(scope, { isOnly }))}
    </ul>
  </fieldset>`
}

/** S4-36: who else may come to read what is said for a person, and for how long. Nothing where it is not kept. */
export function keptNote({ name, callContentDays: days }: Tenant): Html {
  if (days === undefined) return html``
  const time = days === 1 ? '1 day' : `${days} days`
  return html`<p>
    What apps ask of servers for you, and what these answer, is kept for ${time}. You and the
    administrators of <bdi>${name}</bdi> can read it.
  </p>`
}

const nothingTicked = html`<p class="warning" role="alert">
  Tick at least one of these, or press Deny.
</p>`

/** A scope as people read it, with what it brings along. */
function scopeWords({ icon, words, holds = [] }: Omit<ShownScope, 'name'>): Html {
  const others = holds.map((one) => html`<span class="quiet">With it: <bdi>${one}</bdi></span>`)
  return html`<span class="scope">
    <span aria-hidden="true">${icon}</span>
    <span class="lines"><bdi>${words}</bdi>${others}</span>
  </span>`
}

/** What stands alone is given or denied as a whole, so there is nothing to tick. */
function scopeLine(scope: ShownScope, { isOnly }: { readonly isOnly: boolean }) {
  const { name } = scope
  const text = scopeWords(scope)
  if (isOnly) return html`<li><input type="hidden" name="scope" value="${name}" />${text}</li>`
  return html`<li>
    <label class="tick">
      <input type="checkbox" name="scope" value="${name}" checked />
      ${text}
    </label>
  </li>`
}

/** One warning, the one that matters most: too many are read by nobody. A program that we are sure of has none. */
function warning({ standing, isLoopbackOnly, redirectHost }: ConsentStep['view']): Html {
  if (standing.kind === 'pretender') {
    return html`<p class="warning">
      This program calls itself <bdi>${standing.name}</bdi>, but its answers do not go where
      ${standing.name}’s do. Deny this, unless you know <code>${redirectHost}</code> and started
      this yourself.
    </p>`
  }
  if (isLoopbackOnly) {
    return html`<p class="warning">
      This program runs on this computer, and any program here can use its name. Approve only if you
      have just started this yourself.
    </p>`
  }
  if (standing.kind !== 'unknown') return html``
  return html`<p class="warning">
    We have not verified who makes this program. Approve only if you started this yourself and know
    <code>${redirectHost}</code>.
  </p>`
}

/** Said only of a program whose own document and address we know; a name proves nothing. */
export function badge({ standing }: RequestView): Html {
  if (standing.kind !== 'verified') return html``
  return html`<p><span class="pill good">Verified</span> ${standing.name} by ${standing.maker}</p>`
}

/** What the client may do once it is let in, in words. */
export function scopeList(scopes: readonly ShownScope[]): Html {
  return html`<ul class="scopes">
    ${scopes.map((scope) => html`<li>${scopeWords(scope)}</li>`)}
  </ul>`
}
