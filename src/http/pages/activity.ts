// What was done for a person: which program called which server for them, how often, and each call and sign-in by itself. It asks
// for what is the signed-in person's, and nobody else's name is on it. Works without scripts.
import { html } from 'hono/html'
import { Fault, faultCatalogue } from '../../base/fault.ts'
import type { Actor, SealedEntry } from '../../journal/entries.ts'
import type { Names } from '../../journal/names.ts'
import type { ActedFor, AskPersonUsage } from '../../journal/person-usage.ts'
import type { FoundEntries, JournalAsked, SearchJournal } from '../../journal/search.ts'
import { isAdmin } from '../../people/principal.ts'
import { nameOf } from '../../people/users.ts'
import { pageRequestOf } from '../page-request.ts'
import { pathIn } from '../place.ts'
import type { Route, SignedIn } from '../route.ts'
import { choices } from './choices.ts'
import { furtherBack } from './further-back.ts'
import { askedIn, entryTypes, groupOf } from './journal-asked.ts'
import { page } from './layout.ts'
import type { Html } from './layout.ts'
import { ownPage } from './own-page.ts'
import { short } from './shown.ts'
import { when } from './when.ts'
import { words as allWords } from './words.ts'

interface Needs {
  readonly searchJournal: SearchJournal
  readonly personUsage: AskPersonUsage
}

const path = '/console/activity'
const words = allWords.activity
const perPage = 25
const daysTold = 30

/** The rows of the page. */
export function activityPages(needs: Needs): readonly Route[] {
  return [
    ownPage({
      path,
      words: 'What programs did for the person, and when the person signed in.',
      run: (visit) => activityPage(needs, visit),
    }),
  ]
}

const kinds = ['all', 'calls', 'access'] as const
type Kind = (typeof kinds)[number]

/** What the address of the page asks for. */
interface Wish {
  readonly what: Kind
  readonly client: string
  readonly server: string
}

function wishIn(query: URLSearchParams): Wish {
  const asked = query.get('what') ?? 'all'
  const what = kinds.find((one) => one === asked)
  const [client, server] = [query.get('client') ?? '', query.get('server') ?? '']
  // The search of the journal knows what an id can be.
  const isId = [client, server].every(
    (thing) => askedIn({ kind: '', person: '', thing, from: '', until: '' }).kind === 'asked',
  )
  if (what !== undefined && isId) return { what, client, server }
  throw new Fault('invalid_input', { because: 'the page has nothing of that kind' })
}

function queryOf(wish: Partial<Wish> & { readonly cursor?: string }): string {
  const given = Object.entries(wish).filter(([, value]) => value !== '' && value !== 'all')
  return given.length === 0 ? '' : `?${String(new URLSearchParams(given))}`
}

const callTypes = entryTypes.filter((type) => groupOf(type) === 'call')
const accessTypes = entryTypes.filter((type) => groupOf(type) !== 'call')

/** Always with the person: nothing else of the journal is theirs to see. */
function searchFor({ what, client, server }: Wish, userId: string): JournalAsked {
  return {
    userId,
    types: { all: undefined, calls: callTypes, access: accessTypes }[what],
    actorId: client === '' ? undefined : client,
    subjectId: server === '' ? undefined : server,
  }
}

async function activityPage(
  { searchJournal, personUsage }: Needs,
  visit: SignedIn,
): Promise<Response> {
  const { principal, query, tenant } = visit
  const { user } = principal
  const wish = wishIn(query)
  const asked = { ...pageRequestOf(query), limit: perPage }
  const found = await searchJournal(tenant.id, searchFor(wish, user.id), asked)
  const acted = await personUsage(tenant.id, user.id, daysTold)
  const here = pathIn(tenant, path)
  return page({
    tenant,
    title: allWords.places.activity,
    signedInAs: nameOf(user),
    place: { here: 'activity', isAdmin: isAdmin(principal) },
    body: html`
      <h1>${allWords.places.activity}</h1>
      <p class="quiet">${words.intro}</p>
      ${actedCard(acted, here)} ${choiceOf(wish, here)} ${onlyNote(wish, acted, here)}
      ${foundCard(found, { wish, here, ownId: user.id, isFirst: !query.has('cursor') })}
      <p>
        ${words.toTakeBack}
        <a href="${pathIn(tenant, '/console/apps')}">${allWords.places.apps}</a>
      </p>
    `,
  })
}

function actedCard(acted: readonly ActedFor[], here: string): Html {
  return html`<section class="card">
    <h2>${words.byProgram}</h2>
    ${
      acted.length === 0
        ? html`<p>${words.noneActed}</p>`
        : html`<table>
            <caption>
              ${words.byProgram}
            </caption>
            <thead>
              <tr>
                <th scope="col">${words.program}</th>
                <th scope="col" class="text">${words.server}</th>
                <th scope="col">${words.calls}</th>
                <th scope="col">${words.failed}</th>
                <th scope="col">${words.refused}</th>
              </tr>
            </thead>
            <tbody>
              ${acted.map((one) => actedRow(one, here))}
            </tbody>
          </table>`
    }
  </section>`
}

function actedRow(acted: ActedFor, here: string): Html {
  const { client, server, calls, failed, refused } = acted
  const [program, place] = titlesOf(acted)
  const to = `${here}${queryOf({ what: 'calls', client: client.id, server: server.id })}`
  return html`<tr>
    <th scope="row">
      <a href="${to}" aria-label="${program}, ${words.at} ${place}"><bdi>${program}</bdi></a>
    </th>
    <td class="text"><bdi>${place}</bdi></td>
    ${[calls, failed, refused].map((count) => html`<td>${count.toLocaleString('en')}</td>`)}
  </tr>`
}

function titlesOf({ client, server }: Pick<ActedFor, 'client' | 'server'>) {
  return [short(client.name ?? words.goneProgram), short(server.name ?? words.goneServer)] as const
}

function choiceOf(wish: Wish, here: string): Html {
  return choices(
    words.what,
    kinds.map((what) => ({
      text: words.choices[what],
      href: `${here}${queryOf({ ...wish, what })}`,
      isChosen: what === wish.what,
    })),
  )
}

/** Which program and server the list is only of. */
function onlyNote(wish: Wish, acted: readonly ActedFor[], here: string): Html {
  const { what, client, server } = wish
  if (client === '' && server === '') return html``
  const one = acted.find((each) => each.client.id === client && each.server.id === server)
  const [program, place] = titlesOf(one ?? { client: { id: client }, server: { id: server } })
  return html`<p class="quiet">
    ${words.onlyOf} <bdi>${program}</bdi> ${words.at} <bdi>${place}</bdi>.
    <a href="${here}${queryOf({ what })}">${words.showAll}</a>
  </p>`
}

interface List {
  readonly wish: Wish
  readonly here: string
  readonly ownId: string
  readonly isFirst: boolean
}

function foundCard(found: FoundEntries, { wish, here, ownId, isFirst }: List): Html {
  const { items, names } = found
  const hrefOf = (cursor = '') => `${here}${queryOf({ ...wish, cursor })}`
  const nothing = isFirst && queryOf(wish) === '' ? words.none : words.nothingFound
  return html`<section class="card">
      <h2>${words.happened}</h2>
      ${items.length === 0 ? html`<p>${nothing}</p>` : ''}
      ${items.map((entry) => entryRow(entry, names, ownId))}
    </section>
    ${furtherBack(found, { hrefOf, isFirst })}`
}

function entryRow(entry: SealedEntry, names: Names, ownId: string): Html {
  const { type, at, actor, data } = entry
  const { status, durationMs } = data
  const isCall = typeof status === 'number' && typeof durationMs === 'number'
  const reason = reasonOf(entry)
  return html`<article class="row">
    <div class="wide">
      <strong>${allWords.journal.entries[type]}</strong>${aboutOf(entry, names).map(
        (part) => html` · <bdi>${short(part)}</bdi>`,
      )}
      <div class="quiet">
        ${when(at)} · ${words.by} <bdi>${actorOf(actor, names, ownId)}</bdi>
        ${isCall ? html`· ${words.answer} ${status} · ${durationMs} ${words.took}` : ''}
      </div>
      ${reason === undefined ? '' : html`<p>${words.reason} ${reason}</p>`}
    </div>
  </article>`
}

/** What it is about: the tool, the server, the program. Who else has a part in it is nobody's business here. */
function aboutOf({ actor, subject, data }: SealedEntry, names: Names): readonly string[] {
  const { tool, method, clientId } = data
  const called = typeof tool === 'string' ? tool : method
  const isPerson = subject === undefined || subject.kind === 'user'
  const thing = isPerson || subject.id === actor.id ? undefined : names.get(subject.id)
  const isTold = clientId === actor.id || clientId === subject?.id
  const client = typeof clientId === 'string' && !isTold ? names.get(clientId) : undefined
  return [called, thing, client].filter((part) => typeof part === 'string')
}

function actorOf({ kind, id }: Actor, names: Names, ownId: string): string {
  if (id === ownId) return words.you
  switch (kind) {
    case 'client':
      return short(names.get(id ?? '') ?? words.goneProgram)
    case 'user':
    case 'operator':
      return words.administrator
    case 'key':
      return words.key
    case 'anonymous':
      return words.nobody
    case 'system':
      return words.latchkey
  }
}

/** Why something was refused, where that is a refusal of ours that has words. */
function reasonOf({ data }: SealedEntry): string | undefined {
  const code = data['reason'] ?? data['error']
  const known = Object.entries(faultCatalogue).find(([name]) => name === code)
  return known?.[1].words
}
