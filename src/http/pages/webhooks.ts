// The webhooks of a tenant, for administrators: who is told what, and the form that adds one, whose secret is shown once. Each
// has a page of its own in webhook.ts. Works without scripts.
import { html } from 'hono/html'
import type { Webhook, WebhookManager, Webhooks } from '../../journal/webhooks.ts'
import { actorOf } from '../../people/principal.ts'
import { nameOf } from '../../people/users.ts'
import type { Forms } from '../forms.ts'
import { withCookies } from '../forms.ts'
import { pathIn } from '../place.ts'
import type { Route, SignedIn } from '../route.ts'
import { adminForm, adminPage } from './admin-page.ts'
import { page } from './layout.ts'
import type { Html } from './layout.ts'
import { problemIn, problemNote } from './problem.ts'
import type { Problem } from './problem.ts'
import { short } from './shown.ts'
import { inputOf, secretCard, webhookFields, webhooksPath } from './webhook-form.ts'
import type { Made } from './webhook-form.ts'
import { words } from './words.ts'

interface Needs {
  readonly webhooks: Webhooks
  readonly forms: Forms
}

const said = words.webhooks
const formName = 'webhooks'

/** The rows of the page. */
export function webhooksPages(needs: Needs): readonly Route[] {
  return [
    adminPage({
      path: webhooksPath,
      words: 'The webhooks of this tenant, for administrators.',
      run: (visit) => webhooksPage(needs, visit),
    }),
    adminForm({
      path: webhooksPath,
      words: 'Adds a webhook; its secret is shown once.',
      run: (visit) => add(needs, visit),
    }),
  ]
}

/** Who acts on the webhooks of the tenant. */
export function managerOf({ principal }: SignedIn): WebhookManager {
  return { tenantId: principal.tenant.id, actor: actorOf(principal) }
}

async function add(needs: Needs, visit: SignedIn): Promise<Response> {
  const fields = needs.forms.read(visit, formName)
  try {
    const made = await needs.webhooks.create(managerOf(visit), inputOf(fields))
    return await webhooksPage(needs, visit, { made })
  } catch (thrown) {
    return webhooksPage(needs, visit, { fields, problem: problemIn(thrown) })
  }
}

interface Shown {
  readonly made?: Made
  readonly fields?: URLSearchParams
  readonly problem?: Problem
}

async function webhooksPage(
  { webhooks, forms }: Needs,
  visit: SignedIn,
  { made, fields, problem }: Shown = {},
): Promise<Response> {
  const { tenant, principal } = visit
  const items = await webhooks.list(tenant.id)
  const { token, cookies } = forms.issue(visit, formName)
  const here = pathIn(tenant, webhooksPath)
  const drawn = await page({
    tenant,
    title: said.title,
    status: problem?.status ?? 200,
    signedInAs: nameOf(principal.user),
    place: { here: 'webhooks', isAdmin: true },
    body: html`
      <h1>${said.title}</h1>
      <p class="quiet">${said.intro}</p>
      ${made === undefined ? '' : secretCard(said.made, made)}
      <section class="card">
        ${
          items.length === 0
            ? html`<p>${said.none}</p>`
            : items.map((webhook) => webhookRow(webhook, here))
        }
      </section>
      <section class="card">
        <h2>${said.add}</h2>
        ${problemNote(problem?.words)}
        <form method="post" action="${here}">
          <input type="hidden" name="form_token" value="${token}" />
          ${webhookFields({ fields })}
          <p class="buttons"><button class="primary">${said.create}</button></p>
        </form>
      </section>
    `,
  })
  return withCookies(drawn, cookies)
}

function webhookRow(webhook: Webhook, here: string): Html {
  const { id, url, description } = webhook
  const name = short(description === '' ? url : description)
  return html`
    <div class="row">
      <div class="wide">
        <strong><bdi>${name}</bdi></strong> ${statePill(webhook)}
        <div class="quiet"><code>${short(url, urlCharsShown)}</code></div>
        <div class="quiet">${toldOf(webhook)}</div>
      </div>
      <p class="buttons">
        <a class="button" href="${here}/${id}" aria-label="${said.open} ${name}">${said.open}</a>
      </p>
    </div>
  `
}

const urlCharsShown = 200

/** How a webhook stands. */
export function statePill({ disabled, disabledReason, failingSince }: Webhook): Html {
  const { states } = said
  if (disabled) {
    return html`<span class="pill attention">${states[disabledReason ?? 'switched_off']}</span>`
  }
  return failingSince === undefined
    ? html`<span class="pill good">${states.on}</span>`
    : html`<span class="pill attention">${states.failing}</span>`
}

/** How much it is told. */
export function toldOf({ eventTypes }: Webhook): string {
  if (eventTypes.includes('*')) return said.everything
  const [only] = eventTypes
  return eventTypes.length === 1 && only !== undefined ? only : `${eventTypes.length} ${said.kinds}`
}
