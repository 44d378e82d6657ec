// The deliveries of a webhook: how each stands, how often it was tried, and when it is tried next.
import { html } from 'hono/html'
import type { WebhookDelivery } from '../../journal/webhooks.ts'
import type { Html } from './layout.ts'
import { short } from './shown.ts'
import { ago, when } from './when.ts'
import { words } from './words.ts'

const said = words.webhook
const textCharsShown = 300

interface Listing {
  readonly now: number
  readonly token: string
  readonly action: string
  /** Whether one can be sent again. */
  readonly maySend: boolean
}

/** Draws them. */
export function deliveryList(items: readonly WebhookDelivery[], listing: Listing): Html {
  return html`${items.map((delivery) => deliveryRow(delivery, listing))}`
}

function deliveryRow(delivery: WebhookDelivery, { now, token, action, maySend }: Listing): Html {
  const { id, eventType, status, attemptCount, nextAttemptAt, error, createdAt } = delivery
  const title = titleOf(eventType)
  const tries = attemptCount === 1 ? said.oneTry : `${attemptCount} ${said.tries}`
  return html`
    <div class="row">
      <div class="wide">
        <strong>${title}</strong> <code class="quiet">${eventType}</code>
        <span class="pill ${pills[status]}">${said.statuses[status]}</span>
        <div class="quiet">
          ${ago(createdAt, now)} · ${tries}
          ${nextAttemptAt === undefined ? '' : html`· ${said.next} ${when(nextAttemptAt)}`}
        </div>
        ${error === undefined ? '' : html`<div><bdi>${short(error, textCharsShown)}</bdi></div>`}
        ${attemptsOf(delivery)}
      </div>
      ${
        maySend
          ? html`<form method="post" action="${action}">
              <input type="hidden" name="form_token" value="${token}" />
              <input type="hidden" name="delivery" value="${id}" />
              <button
                name="action"
                value="redeliver"
                aria-label="${said.redeliver}: ${title}, ${new Date(createdAt).toISOString()}"
              >
                ${said.redeliver}
              </button>
            </form>`
          : ''
      }
    </div>
  `
}

const pills: Readonly<Record<WebhookDelivery['status'], string>> = {
  pending: 'info',
  delivered: 'good',
  failed: 'attention',
}

function titleOf(type: string): string {
  const entries: Readonly<Record<string, string>> = words.journal.entries
  return entries[type] ?? said.testEvent
}

function attemptsOf({ attempts }: WebhookDelivery): Html {
  if (attempts.every(({ error }) => error === undefined)) return html``
  return html`<details class="tools">
    <summary>${said.attempts}</summary>
    <ul>
      ${attempts.map(
        ({ at, status, error, excerpt }) =>
          html`<li>
            ${when(at)}: <bdi>${error ?? `${said.answered} ${status ?? ''}`}</bdi>
            ${
              excerpt === undefined
                ? ''
                : html`<code><bdi>${short(excerpt, textCharsShown)}</bdi></code>`
            }
          </li>`,
      )}
    </ul>
  </details>`
}
