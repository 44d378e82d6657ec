// The page on which a person lets a device in that has no browser (RFC 8628 §3.3): type its code, decide, done. A code
// travels in the body of a form only, and no GET decides anything. Works without scripts.
import { html } from 'hono/html'
import type { DeviceQuestion, DeviceStep, DeviceView } from '../../issuer/device.ts'
import type { Issuer } from '../../issuer/issuer.ts'
import type { Tenant } from '../../people/tenants.ts'
import type { SessionPrincipal } from '../../people/principal.ts'
import { nameOf } from '../../people/users.ts'
import { redirect, toSignIn } from '../answers.ts'
import type { Forms } from '../forms.ts'
import { withCookies } from '../forms.ts'
import { pathIn } from '../place.ts'
import { route } from '../route.ts'
import type { Route, Visit } from '../route.ts'
import { badge, keptNote, scopeTicks } from './consent.ts'
import { page } from './layout.ts'
import type { Html } from './layout.ts'
import { problemNote } from './problem.ts'

interface Needs {
  readonly issuer: Issuer
  readonly forms: Forms
}

const form = 'device'

/** The rows of the page. */
export function devicePages(needs: Needs): readonly Route[] {
  const { issuer, forms } = needs
  const shared = { guard: 'visitor', surface: 'page' } as const
  return [
    route({
      ...shared,
      method: 'GET',
      path: '/device',
      words: 'Asks for the code of a device, or what the device with that code may do.',
      run: async (visit) => {
        const { session, query, tenant } = visit
        const id = query.get('request') ?? ''
        if (session === undefined) return toSignIn(devicePath(id), 302)
        const step = await issuer.devices.look(session, id)
        return step === undefined
          ? codePage(forms, visit, { session })
          : stepPage(tenant, step, session)
      },
    }),
    route({
      ...shared,
      method: 'POST',
      path: '/device',
      words: 'Takes the code that a device shows.',
      run: async (visit) => {
        const fields = forms.read(visit, form)
        const { session, browser } = visit
        const { address } = visit.visitor
        if (session === undefined || browser === undefined) return toSignIn(devicePath(''), 303)
        const typed = fields.get('user_code') ?? ''
        const entered = await issuer.devices.enter(session, { typed, browser, address })
        if (entered.kind === 'taken') return redirect(devicePath(entered.id), 303)
        return codePage(forms, visit, { session, typed, problem: entered.hint })
      },
    }),
    route({
      ...shared,
      method: 'POST',
      path: '/device/decision',
      words: 'Takes the person’s decision about a device.',
      run: async ({ tenant, session, body }) => {
        const fields = new URLSearchParams(body)
        const id = fields.get('request') ?? ''
        if (session === undefined) return toSignIn(devicePath(id), 303)
        const again = await issuer.devices.decide(session, id, {
          decision: fields.get('decision') ?? '',
          formToken: fields.get('form_token') ?? '',
          scopes: fields.getAll('scope'),
        })
        return again === undefined ? redirect(devicePath(id), 303) : questionPage(tenant, again)
      },
    }),
  ]
}

function devicePath(id: string): string {
  return id === '' ? '/device' : `/device?request=${encodeURIComponent(id)}`
}

interface CodeForm {
  readonly session: SessionPrincipal
  readonly typed?: string
  readonly problem?: string
}

const typedShownMax = 32

async function codePage(forms: Forms, visit: Visit, shown: CodeForm): Promise<Response> {
  const { token, cookies } = forms.issue(visit, form)
  const { session, typed = '', problem } = shown
  const who = nameOf(session.user)
  const { tenant } = visit
  const drawn = await page({
    tenant,
    title: 'Connect a device',
    status: problem === undefined ? 200 : 422,
    signedInAs: who,
    body: html`
      <section class="card narrow">
        <h1>Connect a device</h1>
        <p>Type the code that your device shows.</p>
        ${problemNote(problem)}
        <form method="post" action="${pathIn(tenant, '/device')}">
          <input type="hidden" name="form_token" value="${token}" />
          <label>
            Code
            <input
              class="user-code"
              name="user_code"
              value="${typed.replaceAll(/\p{C}/gu, '').slice(0, typedShownMax)}"
              placeholder="XXXX-XXXX"
              maxlength="${typedShownMax}"
              autocomplete="off"
              autocapitalize="characters"
              spellcheck="false"
              required
              autofocus
            />
          </label>
          <button class="primary">Continue</button>
        </form>
        ${otherAccount(tenant, who)}
      </section>
    `,
  })
  return withCookies(drawn, cookies)
}

/** Whoever changes the account types the code again: what is decided is decided by who typed it. */
function otherAccount(tenant: Tenant, who: string): Html {
  return html`<p class="quiet">
    Not ${who}?
    <a href="${pathIn(tenant, '/sign-in?next=%2Fdevice')}">Sign in as somebody else</a>, then type
    the code.
  </p>`
}

function stepPage(tenant: Tenant, step: DeviceStep, session: SessionPrincipal): Promise<Response> {
  if (step.kind === 'question') return questionPage(tenant, step)
  return donePage(tenant, step, nameOf(session.user))
}

function questionPage(
  tenant: Tenant,
  { view, formToken, problem }: DeviceQuestion,
): Promise<Response> {
  return page({
    tenant,
    title: `Let ${view.clientName} in?`,
    status: problem === undefined ? 200 : 422,
    signedInAs: view.userEmail,
    body: html`
      <section class="card narrow">
        <h1>Let <bdi>${view.clientName}</bdi> in?</h1>
        <p>
          A device with <bdi>${view.clientName}</bdi> asks to use
          <strong><bdi>${view.serverName}</bdi></strong> as <strong>${view.userEmail}</strong>.
        </p>
        ${badge(view)}
        <p class="compare">
          <span class="quiet">Your device must show exactly this code:</span>
          <code>${view.userCode}</code>
        </p>
        <dl class="facts">${facts(view)}</dl>
        ${warning(view)}
        <form method="post" action="${pathIn(tenant, '/device/decision')}">
          <input type="hidden" name="request" value="${view.requestId}" />
          <input type="hidden" name="form_token" value="${formToken}" />
          ${scopeTicks(view, problem)} ${keptNote(tenant)}
          <div class="buttons">
            <button class="primary" name="decision" value="approve">Approve</button>
            <button name="decision" value="deny">Deny</button>
          </div>
        </form>
        ${otherAccount(tenant, view.userEmail)}
      </section>
    `,
  })
}

function facts({ origin, askedMsAgo, resource }: DeviceView): Html {
  const { address, agent } = origin
  return html`
    <dt>Asked</dt>
    <dd>${agoWords(askedMsAgo)}</dd>
    ${
      address === undefined
        ? ''
        : html`<dt>From</dt>
            <dd><code>${address}</code></dd>`
    }
    ${
      agent === undefined
        ? ''
        : html`<dt>Calls itself</dt>
            <dd><bdi>${agent}</bdi></dd>`
    }
    <dt>Server</dt>
    <dd><code>${resource}</code></dd>
  `
}

const minuteMs = 60_000

function agoWords(ms: number): string {
  const minutes = Math.floor(ms / minuteMs)
  if (minutes < 1) return 'just now'
  return minutes === 1 ? '1 minute ago' : `${minutes} minutes ago`
}

/** RFC 8628 §5.4: whoever talks a person into typing a code gets in as that person; only they can notice. */
function warning({ standing }: DeviceView): Html {
  return html`<div class="warning">
    <p>
      <strong>Did you start this yourself, on a device in front of you?</strong> If somebody sent
      you this code, deny it: whoever has that device gets in as you.
    </p>
    ${aboutProgram(standing)}
  </div>`
}

function aboutProgram(standing: DeviceView['standing']): Html {
  if (standing.kind === 'pretender') {
    return html`<p>
      This program calls itself <bdi>${standing.name}</bdi>, and nothing proves that it is.
    </p>`
  }
  if (standing.kind !== 'unknown') return html``
  return html`<p>We have not verified who makes this program.</p>`
}

function donePage(
  tenant: Tenant,
  { kind, clientName }: Exclude<DeviceStep, { kind: 'question' }>,
  signedInAs: string,
): Promise<Response> {
  const isIn = kind === 'approved'
  return page({
    tenant,
    title: isIn ? 'Device connected' : 'Device denied',
    signedInAs,
    body: html`
      <section class="card narrow" data-decision="${kind}">
        <h1>${isIn ? 'Device connected' : 'Device denied'}</h1>
        ${
          isIn
            ? html`<p>
                <bdi>${clientName}</bdi> is let in. Go back to your device: it goes on by itself.
              </p>`
            : html`<p><bdi>${clientName}</bdi> was not let in, and your device is told so.</p>`
        }
        <p class="quiet">
          You can close this page, or go to
          <a href="${pathIn(tenant, '/console/connections')}">your connections</a>.
        </p>
      </section>
    `,
  })
}
