// "Why did it fail?", for administrators: the recent attempts of clients to connect, and each step by step with what it means and
// what to do. Works without scripts.
import { html } from 'hono/html'
import type { Clock } from '../../base/clock.ts'
import type { AttemptList, AttemptReading, AttemptSummary } from '../../journal/attempt-list.ts'
import type { Told } from '../../journal/diagnosis.ts'
import type { SealedEntry } from '../../journal/entries.ts'
import { nameOf } from '../../people/users.ts'
import { pageRequestOf } from '../page-request.ts'
import { pathIn } from '../place.ts'
import type { Route, SignedIn } from '../route.ts'
import { adminPage } from './admin-page.ts'
import { page } from './layout.ts'
import type { Html } from './layout.ts'
import { short } from './shown.ts'
import { ago, when } from './when.ts'
import { words as allWords } from './words.ts'

interface Needs {
  readonly attemptList: AttemptList
  readonly clock: Clock
}

const path = '/console/attempts'
const words = allWords.attempts
const stepsShownMax = 100

/** The rows of the pages. */
export function attemptPages(needs: Needs): readonly Route[] {
  return [
    adminPage({
      path,
      words: 'Recent attempts of clients to connect, for administrators.',
      run: (visit) => attemptsPage(needs, visit),
    }),
    adminPage({
      path: `${path}/{attempt}`,
      words: 'One attempt, step by step, with what it means and what to do.',
      run: (visit) => attemptPage(needs, visit),
    }),
  ]
}

async function attemptsPage({ attemptList, clock }: Needs, visit: SignedIn): Promise<Response> {
  const { principal, query, tenant } = visit
  const here = pathIn(tenant, path)
  const isFirst = !query.has('cursor')
  const { cursor } = pageRequestOf(query)
  const asked = cursor === undefined ? {} : { cursor }
  const { items, nextCursor } = await attemptList.list(tenant.id, asked)
  return page({
    tenant,
    title: allWords.places.attempts,
    signedInAs: nameOf(principal.user),
    place: { here: 'attempts', isAdmin: true },
    body: html`
      <h1>${allWords.places.attempts}</h1>
      <p class="quiet">${words.intro}</p>
      <section class="card">
        ${
          items.length === 0
            ? html`<p>${isFirst ? words.none : words.noMore}</p>`
            : items.map((attempt) => attemptRow(attempt, { here, now: clock.now() }))
        }
      </section>
      <p class="buttons">
        ${
          nextCursor === undefined
            ? ''
            : html`<a class="button" href="${here}?cursor=${nextCursor}">${words.older}</a>`
        }
        ${isFirst ? '' : html`<a class="button" href="${here}">${words.newest}</a>`}
      </p>
    `,
  })
}

function attemptRow(
  attempt: AttemptSummary,
  { here, now }: { readonly here: string; readonly now: number },
): Html {
  const { id, latestAt, summary, outcome } = attempt
  const name = programOf(attempt)
  return html`<article class="row">
    <div class="wide">
      <strong><bdi>${name}</bdi></strong> ${words.to} ${serverOf(attempt)} ${pillOf(outcome)}
      <div>${summary}</div>
      <div class="quiet">${words.for} <bdi>${personOf(attempt)}</bdi> · ${ago(latestAt, now)}</div>
    </div>
    <p class="buttons">
      <a
        class="button"
        href="${here}/${id}"
        aria-label="${words.steps} ${words.stepsOf} ${name}, ${new Date(latestAt).toISOString()}"
        >${words.steps}</a
      >
    </p>
  </article>`
}

function programOf({ client, agent }: AttemptSummary): string {
  return short(client?.name ?? client?.id ?? agent ?? words.unnamed)
}

function serverOf({ server }: AttemptSummary): Html {
  return server === undefined
    ? html`${words.unknownServer}`
    : html`<code><bdi>${short(server)}</bdi></code>`
}

function personOf({ person }: AttemptSummary): string {
  return short(person?.email ?? person?.id ?? words.nobodyYet)
}

const pillClasses: Readonly<Record<AttemptSummary['outcome'], string>> = {
  connected: 'good',
  waiting: 'info',
  failed: 'attention',
  broken: 'attention',
}

function pillOf(outcome: AttemptSummary['outcome']): Html {
  return html`<span class="pill ${pillClasses[outcome]}">${words.outcomes[outcome]}</span>`
}

async function attemptPage({ attemptList }: Needs, visit: SignedIn): Promise<Response> {
  const { principal, params, tenant } = visit
  const reading = await attemptList.read(tenant.id, params['attempt'] ?? '')
  const { attempt, items, diagnosis } = reading
  const inJournal = `${pathIn(tenant, '/console/journal')}?thing=${encodeURIComponent(attempt.id)}`
  return page({
    tenant,
    title: `${programOf(attempt)} – ${allWords.places.attempts}`,
    signedInAs: nameOf(principal.user),
    place: { here: 'attempts', isAdmin: true },
    body: html`
      <p><a href="${pathIn(tenant, path)}">${words.all}</a></p>
      <h1><bdi>${programOf(attempt)}</bdi> ${words.to} ${serverOf(attempt)}</h1>
      <section class="card">
        <p>${pillOf(diagnosis.outcome)} ${diagnosis.summary}</p>
        ${factsOf(attempt)}
      </section>
      ${meaningCard(diagnosis.findings)} ${timeLineCard(reading)}
      ${items.length > stepsShownMax ? html`<p class="quiet">${words.cut}</p>` : ''}
      <p><a href="${inJournal}">${words.inJournal}</a></p>
    `,
  })
}

function factsOf(attempt: AttemptSummary): Html {
  const { client, agent, beganAt, latestAt, id } = attempt
  const fact = (name: string, value: Html | string) =>
    html`<dt>${name}</dt>
      <dd>${value}</dd>`
  return html`<dl class="facts">
    ${client === undefined ? '' : fact(words.client, html`<code>${short(client.id, 300)}</code>`)}
    ${agent === undefined ? '' : fact(words.agent, html`<bdi>${short(agent, 300)}</bdi>`)}
    ${fact(words.server, serverOf(attempt))}
    ${fact(words.for, html`<bdi>${personOf(attempt)}</bdi>`)} ${fact(words.began, when(beganAt))}
    ${fact(words.latest, when(latestAt))} ${fact(words.id, html`<code>${id}</code>`)}
  </dl>`
}

function meaningCard(findings: readonly Told[]): Html {
  if (findings.length === 0) return html``
  return html`<section class="card">
    <h2>${words.meaning}</h2>
    ${findings.map(findingRow)}
  </section>`
}

function findingRow({ code, happened, next, clause, because, at }: Told): Html {
  return html`<article class="row">
    <div class="wide">
      <h3>${happened}</h3>
      <p><strong>${words.toDo}</strong> ${next}</p>
      ${
        because === undefined ? '' : html`<p>${words.because} <bdi>${short(because, 500)}</bdi></p>`
      }
      <p class="quiet">
        <code>${code}</code>${clause === undefined ? '' : ` · ${clause}`} · ${words.moment}
        ${when(at)}
      </p>
    </div>
  </article>`
}

function timeLineCard({ items, attempt }: AttemptReading): Html {
  return html`<section class="card">
    <h2>${words.timeLine}</h2>
    <ol class="steps">
      ${items.slice(0, stepsShownMax).map((entry) => stepOf(entry, attempt.beganAt))}
    </ol>
  </section>`
}

function stepOf(entry: SealedEntry, beganAt: number): Html {
  const { type, at, data } = entry
  const isRefusal = refusals.test(type)
  const facts = factNames.flatMap((name) =>
    data[name] === undefined
      ? []
      : [html`<span>${name} <code>${short(String(data[name]), 200)}</code></span>`],
  )
  return html`<li>
    <time datetime="${new Date(at).toISOString()}">${lateness(at - beganAt)}</time>
    <div>
      <strong class="${isRefusal ? 'refused' : ''}">${allWords.journal.entries[type]}</strong>
      ${facts.length === 0 ? '' : html`<div class="quiet about">${facts}</div>`}
    </div>
  </li>`
}

const refusals = /\.(refused|failed|denied|code_refused|registration_refused|reuse_detected)$/

/** What of an entry tells how far the attempt came; all of it is in the journal. */
const factNames = [
  'document',
  'server',
  'method',
  'status',
  'error',
  'reason',
  'because',
  'resource',
  'agent',
] as const

function lateness(ms: number): string {
  const seconds = Math.max(0, ms / 1000)
  if (seconds < 60) return `+${seconds.toFixed(1)} s`
  const minutes = Math.floor(seconds / 60)
  return minutes < 60
    ? `+${minutes} min ${Math.round(seconds % 60)} s`
    : `+${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
