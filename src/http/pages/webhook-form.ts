// The fields of a webhook, what they say, and its secret, which is shown once. Kinds of events are ticked in groups, as the
// journal has them.
import { html } from 'hono/html'
import { Fault } from '../../base/fault.ts'
import type { WebhookInput } from '../../journal/webhook-input.ts'
import type { Webhook, WebhookWithSecret } from '../../journal/webhooks.ts'
import { choice } from './form-parts.ts'
import { entryTypes, groupOf } from './journal-asked.ts'
import type { Html } from './layout.ts'
import { words } from './words.ts'

const said = words.webhooks

/** Where they are. */
export const webhooksPath = '/console/webhooks'

export type Made = WebhookWithSecret

/** The webhook that the fields describe. Throws Fault('invalid_input') where it would be told nothing. */
export function inputOf(fields: URLSearchParams): WebhookInput & { readonly description: string } {
  return {
    url: (fields.get('url') ?? '').trim(),
    description: (fields.get('description') ?? '').trim(),
    eventTypes: fields.get('which') === 'all' ? ['*'] : tickedIn(fields),
  }
}

/** A whole group stands for each of its kinds. */
function tickedIn(fields: URLSearchParams): readonly string[] {
  const ticked = new Set(fields.getAll('event'))
  if (ticked.size === 0) {
    throw new Fault('invalid_input', {
      because: 'no kind of event is ticked',
      detail: { eventTypes: said.noneTicked },
    })
  }
  return [...ticked].filter((type) => type.endsWith('.*') || !ticked.has(wholeOf(type)))
}

function wholeOf(type: string): string {
  return `${type.split('.', 1)[0]}.*`
}

interface WebhookFields {
  /** The one that is there already. */
  readonly webhook?: Webhook
  /** What was entered in vain. */
  readonly fields?: URLSearchParams | undefined
}

/** Draws the fields. */
export function webhookFields({ webhook, fields }: WebhookFields): Html {
  const stored = webhook?.eventTypes ?? ['*']
  const ticked = fields?.getAll('event') ?? stored.filter((type) => type !== '*')
  return html`
    <label>
      ${said.url} <span class="quiet">${said.urlHint}</span>
      <input
        name="url"
        type="url"
        maxlength="2000"
        placeholder="https://hooks.example.com/latchkey"
        value="${fields?.get('url') ?? webhook?.url ?? ''}"
        required
      />
    </label>
    <label>
      ${said.description} <span class="quiet">${said.optional}</span>
      <input
        name="description"
        maxlength="200"
        value="${fields?.get('description') ?? webhook?.description ?? ''}"
      />
    </label>
    ${choice({
      name: 'which',
      legend: said.hears,
      chosen: fields?.get('which') ?? (stored.includes('*') ? 'all' : 'named'),
      options: { all: said.all, named: said.some },
    })}
    <div class="named">${groupTicks(new Set(ticked))}</div>
  `
}

const groups = Map.groupBy(entryTypes, groupOf)
const known = new Set<string>([...entryTypes, ...[...groups.keys()].map((group) => `${group}.*`)])

function groupTicks(ticked: ReadonlySet<string>): Html {
  const titles: Readonly<Record<string, string>> = words.journal.groups
  const entries: Readonly<Record<string, string>> = words.journal.entries
  const others = [...ticked].filter((type) => !known.has(type))
  return html`
    ${[...groups].map(([group, types]) =>
      tickGroup({
        title: titles[group] ?? group,
        ticked,
        options: [
          { type: `${group}.*`, text: said.allOf },
          ...types.map((type) => ({ type, text: entries[type] ?? type })),
        ],
      }),
    )}
    ${
      others.length === 0
        ? ''
        : tickGroup({
            title: said.others,
            ticked,
            options: others.map((type) => ({ type, text: type })),
          })
    }
  `
}

interface TickGroup {
  readonly title: string
  readonly options: readonly { readonly type: string; readonly text: string }[]
  readonly ticked: ReadonlySet<string>
}

function tickGroup({ title, options, ticked }: TickGroup): Html {
  const count = options.filter(({ type }) => ticked.has(type)).length
  return html`<details class="ticks" ${count > 0 ? 'open' : ''}>
    <summary>${title}</summary>
    <fieldset aria-label="${title}">
      ${options.map(
        ({ type, text }) =>
          html`<label class="tick">
            <input
              type="checkbox"
              name="event"
              value="${type}"
              ${ticked.has(type) ? 'checked' : ''}
            />
            <span>${text} <code class="quiet">${type}</code></span>
          </label>`,
      )}
    </fieldset>
  </details>`
}

/** A secret that was made just now. */
export function secretCard(title: string, { secret }: Made, note?: string): Html {
  return html`
    <section class="card" role="status">
      <h2>${title}</h2>
      <p>${said.secret}: <code class="copied">${secret.reveal()}</code></p>
      <p class="quiet">${said.secretOnce} ${note ?? ''}</p>
    </section>
  `
}
