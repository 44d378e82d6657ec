// People, for administrators: who may sign in, found by a search, one more, and each on a page of its own (person.ts). A
// password is shown once, on the answer to the form that made it. Works without scripts.
import { html } from 'hono/html'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { Page as ListPage } from '../../base/page.ts'
import type { UserAdministration, UserWithPassword } from '../../people/user-administration.ts'
import { nameMaxCharacters, rolesOpenTo } from '../../people/user-change.ts'
import { searchMaxCharacters } from '../../people/user-list.ts'
import type { ListedUser } from '../../people/user-list.ts'
import { nameOf } from '../../people/users.ts'
import type { Forms } from '../forms.ts'
import { withCookies } from '../forms.ts'
import { pageRequestOf } from '../page-request.ts'
import { pathIn } from '../place.ts'
import type { Route, SignedIn } from '../route.ts'
import { adminForm, adminPage } from './admin-page.ts'
import { page } from './layout.ts'
import type { Html } from './layout.ts'
import { passwordCard, personPath, peoplePath, pillsOf, roleIn, roleTicks } from './person-parts.ts'
import { changePerson, personPage } from './person.ts'
import { problemNote, refusalOf } from './problem.ts'
import type { Refusal } from './problem.ts'
import { ago } from './when.ts'
import { words } from './words.ts'

interface Needs {
  readonly administration: UserAdministration
  readonly forms: Forms
  readonly clock: Clock
}

const say = words.people

/** The rows of the pages. */
export function peoplePages(needs: Needs): readonly Route[] {
  return [
    adminPage({
      path: peoplePath,
      words: 'The people of this tenant, for administrators.',
      run: (visit) => peoplePage(needs, visit),
    }),
    adminForm({
      path: peoplePath,
      words: 'Adds a person, whose password is shown once.',
      run: (visit) => add(needs, visit),
    }),
    adminPage({
      path: personPath,
      words: 'One person, to be changed, shut out or removed.',
      run: (visit) => personPage(needs, visit),
    }),
    adminForm({
      path: personPath,
      words:
        'Changes a person, shuts them out, gives them a new password, ends what is theirs, or removes them.',
      run: (visit) => changePerson(needs, visit),
    }),
  ]
}

async function add(needs: Needs, visit: SignedIn): Promise<Response> {
  const fields = needs.forms.read(visit, 'people')
  if (fields.get('action') !== 'add') {
    throw new Fault('bad_form', { because: 'the form asks for something that is not there' })
  }
  const name = (fields.get('name') ?? '').trim()
  try {
    const made = await needs.administration.create(visit.principal, {
      email: fields.get('email') ?? '',
      role: roleIn(fields),
      ...(name === '' ? {} : { name }),
    })
    return await peoplePage(needs, visit, { made })
  } catch (thrown) {
    return peoplePage(needs, visit, { fields, refusal: refusalOf(thrown) })
  }
}

/** What became of the form. */
interface Outcome {
  readonly made?: UserWithPassword
  readonly refusal?: Refusal
  readonly fields?: URLSearchParams
}

const perPage = 50

async function peoplePage(
  { administration, forms, clock }: Needs,
  visit: SignedIn,
  { made, refusal, fields }: Outcome = {},
): Promise<Response> {
  const { principal, query, tenant } = visit
  const search = (query.get('search') ?? '').trim()
  const asked = { ...pageRequestOf(query), limit: perPage }
  const found = await administration.list(principal, asked, { search })
  const ids = found.items.map(({ id }) => id)
  const lastSignIns = await administration.lastSignIns(principal, ids)
  const { token, cookies } = forms.issue(visit, 'people')
  const here = pathIn(tenant, peoplePath)
  const rowOf = (person: ListedUser) =>
    personRow(person, {
      here,
      now: clock.now(),
      lastSignedIn: lastSignIns.get(person.id),
      isCaller: person.id === principal.user.id,
    })
  const drawn = await page({
    tenant,
    title: say.title,
    status: refusal?.status ?? 200,
    signedInAs: nameOf(principal.user),
    place: { here: 'people', isAdmin: true },
    body: html`
      <h1>${say.title}</h1>
      <p class="quiet">${say.lead}</p>
      ${made === undefined ? '' : passwordCard(made)} ${searchForm(search, here)}
      <section class="card">
        ${found.items.length === 0 ? html`<p>${say.nobodyFound}</p>` : found.items.map(rowOf)}
      </section>
      ${moreLink(found, { search, here })}
      ${addForm({ token, here, fields, problem: refusal?.problem, roles: rolesOpenTo(principal) })}
    `,
  })
  return withCookies(drawn, cookies)
}

function searchForm(search: string, here: string): Html {
  return html`<form method="get" action="${here}" class="search" role="search">
    <label>
      ${say.search}
      <input name="search" type="search" maxlength="${searchMaxCharacters}" value="${search}" />
    </label>
    <button>${say.find}</button>
    ${search === '' ? '' : html`<a href="${here}">${say.showAll}</a>`}
  </form>`
}

function moreLink(
  { nextCursor }: ListPage<ListedUser>,
  { search, here }: { readonly search: string; readonly here: string },
): Html {
  if (nextCursor === undefined) return html``
  const more = new URLSearchParams({ ...(search === '' ? {} : { search }), cursor: nextCursor })
  return html`<p><a href="${here}?${String(more)}">${words.common.showMore}</a></p>`
}

interface Facts {
  readonly here: string
  readonly now: number
  readonly lastSignedIn: number | undefined
  readonly isCaller: boolean
}

function personRow(person: ListedUser, { here, now, lastSignedIn, isCaller }: Facts): Html {
  const { id, email, name } = person
  return html`
    <div class="row">
      <div class="wide">
        <strong><bdi>${nameOf(person)}</bdi></strong> ${pillsOf(person, { isCaller })}
        ${email === undefined || name === undefined ? '' : html`<div><bdi>${name}</bdi></div>`}
        <div class="quiet">
          ${lastSignedIn === undefined ? say.neverSignedIn : html`${say.lastSignedIn} ${ago(lastSignedIn, now)}`}
        </div>
      </div>
      <p class="buttons">
        <a class="button" href="${here}/${id}" aria-label="${say.edit} ${nameOf(person)}"
          >${say.edit}</a
        >
      </p>
    </div>
  `
}

interface AddForm {
  readonly token: string
  readonly here: string
  /** What was typed in vain. */
  readonly fields: URLSearchParams | undefined
  readonly problem: string | undefined
  readonly roles: ReturnType<typeof rolesOpenTo>
}

function addForm({ token, here, fields, problem, roles }: AddForm): Html {
  return html`<section class="card">
    <h2>${say.add}</h2>
    <p class="quiet">${say.addHint}</p>
    ${problemNote(problem)}
    <form method="post" action="${here}" autocomplete="off">
      <input type="hidden" name="form_token" value="${token}" />
      <label>
        ${say.email}
        <input
          name="email"
          inputmode="email"
          maxlength="320"
          value="${fields?.get('email') ?? ''}"
          required
        />
      </label>
      <label>
        ${say.name} <span class="quiet">${say.nameHint}</span>
        <input name="name" maxlength="${nameMaxCharacters}" value="${fields?.get('name') ?? ''}" />
      </label>
      ${roleTicks(roles, fields === undefined ? 'user' : roleIn(fields))}
      <p class="buttons">
        <button class="primary" name="action" value="add">${say.addButton}</button>
      </p>
    </form>
  </section>`
}
