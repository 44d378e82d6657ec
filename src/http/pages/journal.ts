// The journal, for administrators: what happened, to be searched, downloaded and checked. A search is a link that can be passed
// on. Works without scripts.
import { html } from 'hono/html'
import { Fault } from '../../base/fault.ts'
import type { Verdict } from '../../journal/chain.ts'
import type { EntryType, Journal } from '../../journal/entries.ts'
import type { FoundEntries, SearchJournal } from '../../journal/search.ts'
import type { Tenant } from '../../people/tenants.ts'
import { nameOf } from '../../people/users.ts'
import type { Forms } from '../forms.ts'
import { withCookies } from '../forms.ts'
import type { OpenStreams } from '../open-streams.ts'
import { streamOf } from '../open-streams.ts'
import { pageRequestOf } from '../page-request.ts'
import { pathIn } from '../place.ts'
import type { Route, SignedIn } from '../route.ts'
import { adminForm, adminPage } from './admin-page.ts'
import { askedIn, entryTypes, fieldsIn, groupOf, queryOf } from './journal-asked.ts'
import type { AskedFields } from './journal-asked.ts'
import { entryRow } from './journal-entry.ts'
import { exportFormats, exportTexts } from './journal-export.ts'
import type { ExportFormat } from './journal-export.ts'
import { furtherBack } from './further-back.ts'
import { page } from './layout.ts'
import type { Html } from './layout.ts'
import { problemNote } from './problem.ts'
import { words as allWords } from './words.ts'

interface Needs {
  readonly searchJournal: SearchJournal
  readonly journal: Pick<Journal, 'verify'>
  readonly forms: Forms
  readonly streams: OpenStreams
}

const path = '/console/journal'
const exportPath = `${path}/export`
const perPage = 20
const words = allWords.journal

/** The rows of the pages. */
export function journalPages(needs: Needs): readonly Route[] {
  return [
    adminPage({
      path,
      words: 'What happened in this tenant, to be searched, for administrators.',
      run: (visit) => journalPage(needs, visit),
    }),
    adminForm({
      path,
      words: 'Checks that nobody changed the journal.',
      run: (visit) => check(needs, visit),
    }),
    adminPage({
      path: exportPath,
      words: 'What was found in the journal, as a file.',
      run: (visit) => download(needs, visit),
    }),
  ]
}

async function check(needs: Needs, visit: SignedIn): Promise<Response> {
  const fields = needs.forms.read(visit, 'journal')
  if (fields.get('action') !== 'check') {
    throw new Fault('bad_form', { because: 'the form asks for something that is not there' })
  }
  return journalPage(needs, visit, await needs.journal.verify(visit.tenant.id))
}

async function download({ searchJournal, streams }: Needs, visit: SignedIn): Promise<Response> {
  const { tenant, query, principal, request } = visit
  const wish = askedIn(fieldsIn(query))
  const format = formatIn(query)
  if (wish.kind === 'wrong' || format === undefined) {
    throw new Fault('invalid_input', {
      because: 'the download asks for something that is not there',
      detail: { query: wish.kind === 'wrong' ? wish.problem : 'The format is csv or ndjson.' },
    })
  }
  const { type, name } = exportFormats[format]
  const texts = exportTexts({ searchJournal, tenantId: tenant.id, asked: wish.asked, format })
  const body = request.method === 'HEAD' ? null : streamOf(texts, streams.enter(principal.user.id))
  return new Response(body, {
    headers: {
      'content-type': type,
      'content-disposition': `attachment; filename="${name}"`,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    },
  })
}

function formatIn(query: URLSearchParams): ExportFormat | undefined {
  return (['csv', 'ndjson'] as const).find((known) => known === query.get('format'))
}

async function journalPage(needs: Needs, visit: SignedIn, verdict?: Verdict): Promise<Response> {
  const { principal, query, tenant } = visit
  const fields = fieldsIn(query)
  const wish = askedIn(fields)
  const found =
    wish.kind === 'wrong'
      ? undefined
      : await needs.searchJournal(tenant.id, wish.asked, {
          ...pageRequestOf(query),
          limit: perPage,
        })
  const { token, cookies } = needs.forms.issue(visit, 'journal')
  const here = pathIn(tenant, path)
  const drawn = await page({
    tenant,
    title: allWords.places.journal,
    status: found === undefined ? 422 : 200,
    signedInAs: nameOf(principal.user),
    place: { here: 'journal', isAdmin: true },
    body: html`
      <h1>${allWords.places.journal}</h1>
      <p class="quiet">${words.intro}</p>
      ${verdict === undefined ? '' : verdictNote(verdict)}
      ${problemNote(wish.kind === 'wrong' ? wish.problem : undefined)} ${searchForm(fields, here)}
      ${found === undefined ? '' : foundCard(found, { fields, tenant, isFirst: !query.has('cursor') })}
      ${checkForm(token, here)}
    `,
  })
  return withCookies(drawn, cookies)
}

function verdictNote(verdict: Verdict): Html {
  if (verdict.ok) {
    const count = verdict.count.toLocaleString('en')
    return html`<p class="note good" role="status">${words.chainHolds} ${count}.</p>`
  }
  const { seq, because } = verdict
  return html`<p class="warning" role="alert">${words.chainBroken} ${seq}: ${because}.</p>`
}

function searchForm(fields: AskedFields, here: string): Html {
  const { person, thing, from, until } = fields
  const isSearch = [...queryOf(fields)].length > 0
  return html`<form method="get" action="${here}" class="card filters">
    <label
      >${words.kind}
      <select name="kind">
        <option value="">${words.anything}</option>
        ${kindOptions(fields.kind)}
      </select>
    </label>
    <label
      >${words.person} <span class="quiet">${words.personHint}</span>
      <input name="person" value="${person}" autocomplete="off" maxlength="2048" />
    </label>
    <label
      >${words.thing} <span class="quiet">${words.thingHint}</span>
      <input name="thing" value="${thing}" autocomplete="off" maxlength="2048" />
    </label>
    <label>${words.from} <input type="date" name="from" value="${from}" /></label>
    <label
      >${words.until} <span class="quiet">${words.days}</span>
      <input type="date" name="until" value="${until}" />
    </label>
    <p class="buttons">
      <button class="primary">${words.search}</button>
      ${isSearch ? html`<a class="button" href="${here}">${words.clear}</a>` : ''}
    </p>
  </form>`
}

const groups = Map.groupBy(entryTypes, groupOf)

function kindOptions(chosen: string): Html {
  const option = (value: string, text: string) =>
    html`<option value="${value}" ${value === chosen ? 'selected' : ''}>${text}</option>`
  return html`${Object.entries(words.groups).map(([group, title]) => {
    const types: readonly EntryType[] = groups.get(group) ?? []
    return html`<optgroup label="${title}">
      ${types.length > 1 ? option(group, `${title}: ${words.everythingOf}`) : ''}
      ${types.map((type) => option(type, words.entries[type]))}
    </optgroup>`
  })}`
}

interface Place {
  readonly fields: AskedFields
  readonly tenant: Tenant
  readonly isFirst: boolean
}

function foundCard(found: FoundEntries, { fields, tenant, isFirst }: Place): Html {
  const here = pathIn(tenant, path)
  const { items, names, nextCursor } = found
  const query = queryOf(fields)
  const hrefOf = (cursor?: string) =>
    `${here}?${String(cursor === undefined ? query : withOne(query, 'cursor', cursor))}`
  const search = (field: 'person' | 'thing', value: string) =>
    `${here}?${String(queryOf({ [field]: value }))}`
  // A sign-in at a provider is an attempt too, but none of a client of ours: the journal alone tells it.
  const attempt = (id: string) =>
    id.startsWith('att_') ? pathIn(tenant, `/console/attempts/${id}`) : search('thing', id)
  const isSearch = [...query].length > 0
  const nothing = isSearch || !isFirst ? words.nothingFound : words.nothingYet
  return html`<section class="card">
      ${items.length === 0 ? html`<p>${nothing}</p>` : ''}
      ${items.map((entry) => entryRow(entry, { names, search, attempt }))}
    </section>
    ${furtherBack(found, { hrefOf, isFirst })}
    ${items.length === 0 && nextCursor === undefined ? '' : exportCard(query, `${here}/export`)}`
}

function exportCard(query: URLSearchParams, to: string): Html {
  const link = (format: ExportFormat) => `${to}?${String(withOne(query, 'format', format))}`
  return html`<section class="card">
    <h2>${words.export}</h2>
    <p class="quiet">${words.exportHint}</p>
    <p class="buttons">
      <a class="button" href="${link('csv')}" download>${words.csv}</a>
      <a class="button" href="${link('ndjson')}" download>${words.ndjson}</a>
    </p>
  </section>`
}

function withOne(query: URLSearchParams, name: string, value: string): URLSearchParams {
  return new URLSearchParams([...query, [name, value]])
}

function checkForm(token: string, here: string): Html {
  return html`<form method="post" action="${here}" class="card">
    <h2>${words.chain}</h2>
    <p class="quiet">${words.chainHint}</p>
    <input type="hidden" name="form_token" value="${token}" />
    <p class="buttons"><button name="action" value="check">${words.check}</button></p>
  </form>`
}
