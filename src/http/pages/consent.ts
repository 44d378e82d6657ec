// The consent page: whom you let in, where it runs, what it may do, as whom. Works without scripts.
import { html } from 'hono/html'
import type { AuthorizeStep } from '../../issuer/authorize.ts'
import type { RequestView } from '../../issuer/consent.ts'
import { page } from './layout.ts'
import type { Html } from './layout.ts'

type ConsentStep = Extract<AuthorizeStep, { kind: 'consent' }>

/** Draws the question; the answer is bound to this person, this browser and this request by the form token. */
export function consentPage({ requestId, formToken, view }: ConsentStep): Promise<Response> {
  return page({
    title: `Let ${view.clientName} in?`,
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
        <h2>It may</h2>
        ${scopeList(view)}
        <form method="post" action="/oauth/consent" class="buttons">
          <input type="hidden" name="request" value="${requestId}" />
          <input type="hidden" name="form_token" value="${formToken}" />
          <button class="primary" name="decision" value="approve">Approve</button>
          <button name="decision" value="deny">Deny</button>
        </form>
      </section>
    `,
  })
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
export function scopeList({ scopes }: RequestView): Html {
  return html`<ul class="scopes">
    ${scopes.map(
      ({ icon, words }) => html`<li><span aria-hidden="true">${icon}</span> ${words}</li>`,
    )}
  </ul>`
}
