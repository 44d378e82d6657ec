// How a tenant is used, for administrators: calls by day, server, person, client and tool, how they went, and what the
// authorization server refused. Charts are drawn on the server, and each stands beside its numbers.
import { html } from 'hono/html'
import { Fault } from '../../base/fault.ts'
import { otherTools } from '../../journal/call-counts.ts'
import { usageKindOf } from '../../journal/call-usage.ts'
import type {
  AskCallUsage,
  CallSums,
  CallUsage,
  UsageKind,
  UsedThing,
} from '../../journal/call-usage.ts'
import type { Usage, UsageReport } from '../../journal/usage.ts'
import { nameOf } from '../../people/users.ts'
import { pathIn } from '../place.ts'
import type { Route, SignedIn } from '../route.ts'
import { adminPage } from './admin-page.ts'
import { barChart, chartKey, lyingBar } from './chart.ts'
import type { Part } from './chart.ts'
import { choices } from './choices.ts'
import { page } from './layout.ts'
import type { Html } from './layout.ts'
import { short } from './shown.ts'
import { words as allWords } from './words.ts'

interface Needs {
  readonly usage: Pick<Usage, 'report'>
  readonly callUsage: AskCallUsage
}

const path = '/console/usage'
const words = allWords.usage
/** How many of a kind the page of all shows. */
const shownOfEach = 10
const daysToChoose = [1, 7, 30] as const
type Days = (typeof daysToChoose)[number]
const daysUsual: Days = 30
const kindsShown = ['server', 'user', 'client', 'tool'] as const

/** The rows of the page. */
export function usagePages(needs: Needs): readonly Route[] {
  return [
    adminPage({
      path,
      words: 'How this tenant is used, in charts and numbers, for administrators.',
      run: (visit) => usagePage(needs, visit),
    }),
  ]
}

/** Where the page is, and of how many days it tells. */
interface Range {
  readonly here: string
  readonly journal: string
  readonly days: Days
}

async function usagePage(needs: Needs, visit: SignedIn): Promise<Response> {
  const { principal, query, tenant } = visit
  const days = daysIn(query)
  const by = kindIn(query)
  const range = { here: pathIn(tenant, path), journal: pathIn(tenant, '/console/journal'), days }
  const body =
    by === undefined
      ? await overview(needs, tenant.id, range)
      : await oneKind(needs, tenant.id, { ...range, by })
  return page({
    tenant,
    title: by === undefined ? allWords.places.usage : words.by[by],
    signedInAs: nameOf(principal.user),
    place: { here: 'usage', isAdmin: true },
    body,
  })
}

function daysIn(query: URLSearchParams): Days {
  const asked = query.get('days')
  const days = asked === null ? daysUsual : daysToChoose.find((one) => String(one) === asked)
  if (days !== undefined) return days
  throw new Fault('invalid_input', { because: 'the page is not of so many days' })
}

function kindIn(query: URLSearchParams): UsageKind | undefined {
  const asked = query.get('by')
  if (asked === null) return undefined
  const kind = usageKindOf(asked)
  if (kind !== undefined) return kind
  throw new Fault('invalid_input', { because: 'there are no sums by that' })
}

async function overview({ usage, callUsage }: Needs, tenantId: string, range: Range) {
  const { days } = range
  const report = await usage.report(tenantId)
  const used: CallUsage[] = []
  for (const by of kindsShown) used.push(await callUsage(tenantId, { by, days }))
  const perDay = used[0]?.perDay ?? []
  return html`
    <h1>${allWords.places.usage}</h1>
    <p class="quiet">${words.intro}</p>
    ${choiceOf(range)} ${callsCard(perDay)} ${failuresCard(perDay)}
    ${used.map((each) =>
      each.items.length === 0
        ? ''
        : html`<section class="card">
            <h2>${words.by[each.by]}</h2>
            ${usedTable(each, { ...range, most: shownOfEach })}
            ${
              each.items.length <= shownOfEach
                ? ''
                : html`<p>
                    <a
                      href="${range.here}?by=${each.by}&amp;days=${days}"
                      aria-label="${words.more}: ${words.by[each.by]}"
                      >${words.more}</a
                    >
                  </p>`
            }
          </section>`,
    )}
    ${tokensCard(report)} ${refusalsCard(report, range.here.replace(/usage$/, 'attempts'))}
    ${troubledCard(report)}
  `
}

async function oneKind(
  { callUsage }: Needs,
  tenantId: string,
  range: Range & { readonly by: UsageKind },
) {
  const used = await callUsage(tenantId, range)
  return html`
    <p><a href="${range.here}?days=${range.days}">${words.back}</a></p>
    <h1>${words.by[range.by]}</h1>
    <p class="quiet">${words.mostUsed}</p>
    ${choiceOf(range)}
    <section class="card">
      ${used.items.length === 0 ? html`<p>${words.noCalls}</p>` : usedTable(used, range)}
    </section>
  `
}

function choiceOf({ here, days, by }: Range & { readonly by?: UsageKind }): Html {
  return choices(
    words.choice,
    daysToChoose.map((one) => ({
      text: words.choices[one],
      href: `${here}?days=${one}${by === undefined ? '' : `&by=${by}`}`,
      isChosen: one === days,
    })),
  )
}

type Day = CallUsage['perDay'][number]

function partsOf({ calls, failed, refused }: CallSums): readonly Part[] {
  return [
    { kind: 'answered', count: calls - failed - refused },
    { kind: 'failed', count: failed },
    { kind: 'refused', count: refused },
  ]
}

const keys = [
  { kind: 'answered', name: words.answered },
  { kind: 'failed', name: words.failed },
  { kind: 'refused', name: words.refused },
] as const

function callsCard(perDay: readonly Day[]): Html {
  const most = Math.max(0, ...perDay.map(({ calls }) => calls))
  return html`<section class="card">
    <h2>${words.perDay}</h2>
    ${
      most === 0
        ? html`<p>${words.noCalls}</p>`
        : html`${chartOf(perDay, { title: words.perDay, most, parts: partsOf })} ${chartKey(keys)}
            <p class="quiet">${words.failedHint}</p>
            ${daysTable(perDay)}`
    }
  </section>`
}

function failuresCard(perDay: readonly Day[]): Html {
  const most = Math.max(0, ...perDay.map(({ failed, refused }) => failed + refused))
  if (most === 0) return html``
  const parts = (day: Day) => partsOf(day).filter(({ kind }) => kind !== 'answered')
  return html`<section class="card">
    <h2>${words.failuresPerDay}</h2>
    ${chartOf(perDay, { title: words.failuresPerDay, most, parts })} ${chartKey(keys.slice(1))}
  </section>`
}

interface Drawing {
  readonly title: string
  readonly most: number
  readonly parts: (day: Day) => readonly Part[]
}

function chartOf(perDay: readonly Day[], { title, most, parts }: Drawing): Html {
  const bars = perDay.map((day) => ({ name: `${day.day}: ${inWords(day)}`, parts: parts(day) }))
  return html`<p class="quiet">${words.most} ${inFigures(most)}</p>
    ${barChart(title, bars)}
    <p class="ends quiet">
      <span>${perDay[0]?.day}</span>
      ${perDay.length > 1 ? html`<span>${perDay.at(-1)?.day}</span>` : ''}
    </p>`
}

function inWords({ calls, failed, refused }: CallSums): string {
  const more = [
    failed === 0 ? '' : `, ${inFigures(failed)} ${words.failed.toLowerCase()}`,
    refused === 0 ? '' : `, ${inFigures(refused)} ${words.refused.toLowerCase()}`,
  ]
  return `${inFigures(calls)} ${calls === 1 ? words.call : words.callsIn}${more.join('')}`
}

function inFigures(count: number): string {
  return count.toLocaleString('en')
}

function daysTable(perDay: readonly Day[]): Html {
  return html`<details>
    <summary>${words.inNumbers}</summary>
    <table>
      <caption>
        ${words.perDay}
      </caption>
      <thead>
        <tr>
          <th scope="col">${words.day}</th>
          ${sumHeads}
        </tr>
      </thead>
      <tbody>
        ${perDay.toReversed().map(
          (day) =>
            html`<tr>
              <th scope="row">${day.day}</th>
              ${sumCells(day)}
            </tr>`,
        )}
      </tbody>
    </table>
  </details>`
}

const sumHeads = html`<th scope="col">${words.calls}</th>
  <th scope="col">${words.failed}</th>
  <th scope="col">${words.refused}</th>
  <th scope="col" class="more">${words.mean}</th>`

function sumCells({ calls, failed, refused, meanMs }: CallSums): Html {
  return html`${[calls, failed, refused].map((count) => html`<td>${inFigures(count)}</td>`)}
    <td class="more">${inFigures(meanMs)}</td>`
}

function usedTable(
  { items, by }: CallUsage,
  { journal, most = items.length }: Range & { readonly most?: number },
): Html {
  const highest = Math.max(...items.map(({ calls }) => calls))
  return html`<table>
    <caption>
      ${words.by[by]}
    </caption>
    <thead>
      <tr>
        <th scope="col">${words.one[by]}</th>
        <th scope="col" class="share text">${words.share}</th>
        ${sumHeads}
      </tr>
    </thead>
    <tbody>
      ${items.slice(0, most).map(
        (thing) =>
          html`<tr>
            <th scope="row">${thingOf(thing, by, journal)}</th>
            <td class="share">
              ${lyingBar({ name: inWords(thing), parts: partsOf(thing) }, highest)}
            </td>
            ${sumCells(thing)}
          </tr>`,
      )}
    </tbody>
  </table>`
}

/** What was used, with the way to its calls in the journal. */
function thingOf({ id, name, tool }: UsedThing, by: UsageKind, journal: string): Html {
  const title = html`<bdi>${short(name ?? id ?? words.programs)}</bdi>`
  if (by === 'tool') {
    const called = tool === otherTools ? words.otherTools : short(tool ?? '')
    return html`<bdi>${called}</bdi> <span class="quiet">${words.ofServer} ${title}</span>`
  }
  if (id === undefined) return title
  const query = new URLSearchParams({ kind: 'call', [by === 'user' ? 'person' : 'thing']: id })
  return html`<a href="${journal}?${String(query)}">${title}</a>`
}

const factsShown = [
  'activeTokens',
  'activeClients',
  'failedAuthorizations',
  'journalEntriesLastDay',
] as const

function tokensCard(report: UsageReport): Html {
  return html`<section class="card">
    <h2>${words.now}</h2>
    <dl class="facts">
      ${factsShown.map(
        (name) =>
          html`<dt>${words.facts[name]}</dt>
            <dd>${inFigures(report[name])}</dd>`,
      )}
    </dl>
  </section>`
}

function refusalsCard({ refusals }: UsageReport, attempts: string): Html {
  if (refusals.length === 0) return html``
  const titles: Readonly<Record<string, string>> = allWords.journal.entries
  return html`<section class="card">
    <h2>${words.refusals}</h2>
    <p><a href="${attempts}">${words.whyLink}</a></p>
    <table>
      <caption>
        ${words.refusals}
      </caption>
      <thead>
        <tr>
          <th scope="col">${words.whatWasRefused}</th>
          <th scope="col" class="text">${words.why}</th>
          <th scope="col">${words.times}</th>
        </tr>
      </thead>
      <tbody>
        ${refusals.slice(0, 2 * shownOfEach).map(
          ({ type, error, count }) =>
            html`<tr>
              <th scope="row">${titles[type] ?? type}</th>
              <td class="text"><code>${short(error)}</code></td>
              <td>${inFigures(count)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </section>`
}

function troubledCard({ troubledClients }: UsageReport): Html {
  if (troubledClients.length === 0) return html``
  return html`<section class="card">
    <h2>${words.troubled}</h2>
    <p class="quiet">${words.troubledHint}</p>
    <table>
      <caption>
        ${words.troubled}
      </caption>
      <thead>
        <tr>
          <th scope="col">${words.client}</th>
          <th scope="col">${words.expiredCodes}</th>
          <th scope="col">${words.failedAttempts}</th>
        </tr>
      </thead>
      <tbody>
        ${troubledClients.slice(0, 2 * shownOfEach).map(
          ({ clientId, name, expiredCodes, failedAttempts }) =>
            html`<tr>
              <th scope="row"><bdi>${short(name ?? clientId)}</bdi></th>
              <td>${inFigures(expiredCodes)}</td>
              <td>${inFigures(failedAttempts)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </section>`
}
