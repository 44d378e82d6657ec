// One webhook, for administrators: how it stands, what was sent to it and how that went, and what can be done about it. Works
// without scripts.
import { html } from 'hono/html'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { Page } from '../../base/page.ts'
import { deliveryStatuses } from '../../journal/webhook-deliveries.ts'
import type { DeliveryStatus } from '../../journal/webhook-deliveries.ts'
import type { Webhook, WebhookDelivery, Webhooks } from '../../journal/webhooks.ts'
import { nameOf } from '../../people/users.ts'
import { redirect } from '../answers.ts'
import type { Forms } from '../forms.ts'
import { withCookies } from '../forms.ts'
import { pageRequestOf } from '../page-request.ts'
import { pathIn } from '../place.ts'
import type { Route, SignedIn } from '../route.ts'
import { adminForm, adminPage } from './admin-page.ts'
import { choices } from './choices.ts'
import { foldedForm } from './form-parts.ts'
import { page } from './layout.ts'
import type { Html } from './layout.ts'
import { problemIn, problemNote } from './problem.ts'
import type { Problem } from './problem.ts'
import { short } from './shown.ts'
import { deliveryList } from './webhook-deliveries.ts'
import { inputOf, secretCard, webhookFields, webhooksPath } from './webhook-form.ts'
import type { Made } from './webhook-form.ts'
import { managerOf, statePill, toldOf } from './webhooks.ts'
import { ago, when } from './when.ts'
import { words } from './words.ts'

interface Needs {
  readonly webhooks: Webhooks
  readonly forms: Forms
  readonly clock: Clock
}

const said = words.webhook
const path = `${webhooksPath}/{webhook}`
const formName = 'webhooks'
const perPage = 20

/** The rows of the page. */
export function webhookPages(needs: Needs): readonly Route[] {
  return [
    adminPage({
      path,
      words: 'One webhook with its deliveries, for administrators.',
      run: async (visit) => webhookPage(needs, visit, await webhookAt(needs, visit)),
    }),
    adminForm({
      path,
      words: 'Tries a webhook out, changes it, gives it a new secret, sends again, or removes it.',
      run: (visit) => change(needs, visit),
    }),
  ]
}

function webhookAt({ webhooks }: Needs, { tenant, params }: SignedIn): Promise<Webhook> {
  return webhooks.get({ tenantId: tenant.id, id: params['webhook'] ?? '' })
}

async function change(needs: Needs, visit: SignedIn): Promise<Response> {
  const webhook = await webhookAt(needs, visit)
  const fields = needs.forms.read(visit, formName)
  const action = fields.get('action') ?? ''
  if (action === 'remove') {
    await needs.webhooks.remove(managerOf(visit), webhook.id)
    return redirect(webhooksPath, 303)
  }
  try {
    const shown = await act(needs, visit, { webhook, action, fields })
    return await webhookPage(needs, visit, await webhookAt(needs, visit), { action, ...shown })
  } catch (thrown) {
    return webhookPage(needs, visit, webhook, { action, fields, problem: problemIn(thrown) })
  }
}

interface Sent {
  readonly webhook: Webhook
  readonly action: string
  readonly fields: URLSearchParams
}

async function act(
  { webhooks }: Needs,
  visit: SignedIn,
  { webhook: { id }, action, fields }: Sent,
): Promise<Shown> {
  const manager = managerOf(visit)
  if (action === 'test') return { tested: await webhooks.test(manager, id) }
  if (action === 'rotate') return { made: await webhooks.rotateSecret(manager, id) }
  if (action === 'redeliver') {
    await webhooks.redeliver(manager, id, fields.get('delivery') ?? '')
    return { note: said.again }
  }
  if (action === 'pause' || action === 'resume') {
    await webhooks.update(manager, id, { disabled: action === 'pause' })
    return { note: said.saved }
  }
  if (action !== 'change') {
    throw new Fault('bad_form', { because: 'the form asks for something that is not there' })
  }
  await webhooks.update(manager, id, inputOf(fields))
  return { note: said.saved }
}

/** What is shown besides what is stored. */
interface Shown {
  /** The form that was sent; it stays open. */
  readonly action?: string
  readonly fields?: URLSearchParams
  readonly problem?: Problem
  readonly note?: string
  readonly tested?: WebhookDelivery
  readonly made?: Made
}

async function webhookPage(
  needs: Needs,
  visit: SignedIn,
  webhook: Webhook,
  shown: Shown = {},
): Promise<Response> {
  const { webhooks, forms, clock } = needs
  const { tenant, principal, query } = visit
  const { note, problem, made, tested } = shown
  const status = deliveryStatuses.find((one) => one === query.get('status'))
  const deliveries = await webhooks.deliveries(
    { tenantId: tenant.id, id: webhook.id },
    { ...pageRequestOf(query), limit: perPage, ...(status === undefined ? {} : { status }) },
  )
  const { token, cookies } = forms.issue(visit, formName)
  const where = { token, action: pathIn(tenant, `${webhooksPath}/${webhook.id}`) }
  const name = short(webhook.description === '' ? webhook.url : webhook.description)
  const drawn = await page({
    tenant,
    title: name,
    status: problem?.status ?? 200,
    signedInAs: nameOf(principal.user),
    place: { here: 'webhooks', isAdmin: true },
    body: html`
      <p><a href="${pathIn(tenant, webhooksPath)}">${said.all}</a></p>
      <h1><bdi>${name}</bdi></h1>
      ${note === undefined ? '' : html`<p class="note" role="status">${note}</p>`}
      ${problemNote(problem?.words)}
      ${
        made === undefined ? '' : secretCard(words.webhooks.rotated, made, words.webhooks.oldSecret)
      }
      ${factsCard(webhook, clock.now())} ${testCard(webhook, { ...where, tested })}
      ${deliveriesCard({ deliveries, status, now: clock.now(), webhook, ...where })}
      ${formsOf(webhook, { ...where, shown })}
    `,
  })
  return withCookies(drawn, cookies)
}

function factsCard(webhook: Webhook, now: number): Html {
  const { url, failingSince, previousSecretExpiresAt, createdAt, disabled } = webhook
  const isFailing = failingSince !== undefined && !disabled
  return html`
    <section class="card">
      <dl class="facts">
        <dt>${words.webhooks.url}</dt>
        <dd><code>${url}</code></dd>
        <dt>${said.state}</dt>
        <dd>${statePill(webhook)}</dd>
        ${
          isFailing
            ? html`<dt>${said.failingSince}</dt>
                <dd>${when(failingSince)}</dd>`
            : ''
        }
        <dt>${said.told}</dt>
        <dd>${toldOf(webhook)}</dd>
        ${
          previousSecretExpiresAt === undefined
            ? ''
            : html`<dt>${said.oldSecretUntil}</dt>
                <dd>${when(previousSecretExpiresAt)}</dd>`
        }
        <dt>${said.added}</dt>
        <dd>${ago(createdAt, now)}</dd>
      </dl>
    </section>
  `
}

interface Where {
  readonly token: string
  readonly action: string
}

function testCard(
  { disabled }: Webhook,
  { token, action, tested }: Where & { readonly tested: WebhookDelivery | undefined },
): Html {
  if (disabled) return html``
  return html`
    <section class="card">
      <h2>${said.test}</h2>
      <p class="quiet">${said.testIntro}</p>
      <form method="post" action="${action}">
        <input type="hidden" name="form_token" value="${token}" />
        <button class="primary" name="action" value="test">${said.test}</button>
      </form>
      ${tested === undefined ? '' : testNote(tested)}
    </section>
  `
}

function testNote({ status, error, attempts }: WebhookDelivery): Html {
  if (status === 'delivered') {
    return html`<p class="note good" role="status">
      ${said.arrived} ${attempts.at(-1)?.status ?? ''}.
    </p>`
  }
  return html`<div class="warning" role="alert">
    <p>${said.notArrived} <bdi>${error ?? ''}</bdi></p>
    <p>${said.todo}</p>
  </div>`
}

interface Deliveries extends Where {
  readonly deliveries: Page<WebhookDelivery>
  readonly status: DeliveryStatus | undefined
  readonly now: number
  readonly webhook: Webhook
}

function deliveriesCard({ deliveries, status, now, webhook, token, action }: Deliveries): Html {
  const { items, nextCursor } = deliveries
  const more = new URLSearchParams({
    ...(status === undefined ? {} : { status }),
    ...(nextCursor === undefined ? {} : { cursor: nextCursor }),
  })
  return html`
    <section class="card">
      <h2>${said.deliveries}</h2>
      ${filterOf(status, action)}
      ${
        items.length === 0
          ? html`<p>${status === undefined ? said.noDeliveries : said.noneSuch}</p>`
          : deliveryList(items, { now, token, action, maySend: !webhook.disabled })
      }
      ${
        nextCursor === undefined
          ? ''
          : html`<p><a href="${action}?${String(more)}">${words.common.showMore}</a></p>`
      }
    </section>
  `
}

function filterOf(chosen: DeliveryStatus | undefined, here: string): Html {
  return choices(
    said.which,
    [undefined, ...deliveryStatuses].map((status) => ({
      text: status === undefined ? said.every : said.statuses[status],
      href: status === undefined ? here : `${here}?status=${status}`,
      isChosen: status === chosen,
    })),
  )
}

function formsOf(webhook: Webhook, { shown, ...where }: Where & { readonly shown: Shown }): Html {
  const isChange = shown.action === 'change'
  const { disabled } = webhook
  const form = { ...where, isOpen: false, isPlain: true } as const
  return html`
    ${foldedForm({
      ...where,
      isOpen: isChange,
      name: 'change',
      title: said.change,
      button: said.save,
      body: html`
        <p class="quiet">${said.changeIntro}</p>
        ${webhookFields({ webhook, fields: isChange ? shown.fields : undefined })}
      `,
    })}
    ${foldedForm({
      ...form,
      name: disabled ? 'resume' : 'pause',
      title: disabled ? said.resume : said.pause,
      button: disabled ? said.resume : said.pause,
      body: html`<p>${disabled ? said.resumeIntro : said.pauseIntro}</p>`,
    })}
    ${foldedForm({
      ...form,
      name: 'rotate',
      title: said.rotate,
      button: said.rotateButton,
      body: html`<p>${said.rotateIntro}</p>`,
    })}
    ${foldedForm({
      ...form,
      name: 'remove',
      title: said.remove,
      button: said.removeButton,
      body: html`<p>${said.removeIntro}</p>`,
    })}
  `
}
