// The consent page: whom you let in, where it runs, what it may do, as whom. Works without scripts.
import { html } from 'hono/html'
import type { AuthorizeStep } from '../../issuer/authorize.ts'
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
        <dl class="facts">
          <dt>Answers go to</dt>
          <dd><code>${view.redirectHost}</code></dd>
          <dt>Server</dt>
          <dd><code>${view.resource}</code></dd>
        </dl>
        ${warning(view)}
        <h2>It may</h2>
        <ul class="scopes">
          ${view.scopes.map(
            ({ icon, words }) => html`<li><span aria-hidden="true">${icon}</span> ${words}</li>`,
          )}
        </ul>
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

/** One warning, the one that matters most: too many are read by nobody. */
function warning(view: ConsentStep['view']): Html {
  if (view.isLoopbackOnly) {
    return html`<p class="warning">
      This program runs on this computer, and any program here can use its name. Approve only if you
      have just started this yourself.
    </p>`
  }
  if (view.isVerified) return html``
  return html`<p class="warning">
    We have not verified who makes this program. Approve only if you started this yourself and know
    <code>${view.redirectHost}</code>.
  </p>`
}
