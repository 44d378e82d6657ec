// One person, for administrators: what they are called and may do, the switch that shuts them out, a new password, the end of
// all that acts for them, and their removal. What ends something stands folded, with what it ends in words.
import { html } from 'hono/html'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { UserAdministration, UserWithPassword } from '../../people/user-administration.ts'
import { nameMaxCharacters, rolesOpenTo } from '../../people/user-change.ts'
import type { ListedUser } from '../../people/user-list.ts'
import { nameOf } from '../../people/users.ts'
import { redirect } from '../answers.ts'
import type { Forms } from '../forms.ts'
import { withCookies } from '../forms.ts'
import { pathIn } from '../place.ts'
import type { SignedIn } from '../route.ts'
import { page } from './layout.ts'
import type { Html } from './layout.ts'
import { passwordCard, peoplePath, pillsOf, roleIn, roleTicks } from './person-parts.ts'
import { problemNote, refusalOf } from './problem.ts'
import type { Refusal } from './problem.ts'
import { ago, when } from './when.ts'
import { words } from './words.ts'

interface Needs {
  readonly administration: UserAdministration
  readonly forms: Forms
  readonly clock: Clock
}

const say = words.people

/** What is shown besides what is stored. */
interface Shown {
  readonly made?: UserWithPassword
  readonly note?: string
  readonly refusal?: Refusal
  readonly fields?: URLSearchParams
}

/** Does what the form asks for. */
export async function changePerson(needs: Needs, visit: SignedIn): Promise<Response> {
  const id = visit.params['user'] ?? ''
  const fields = needs.forms.read(visit, 'people')
  try {
    const said = await act(needs, visit, id, fields)
    return said === 'removed' ? redirect(peoplePath, 303) : await personPage(needs, visit, said)
  } catch (thrown) {
    return personPage(needs, visit, { fields, refusal: refusalOf(thrown) })
  }
}

async function act(
  { administration }: Needs,
  { principal }: SignedIn,
  id: string,
  fields: URLSearchParams,
): Promise<Shown | 'removed'> {
  switch (fields.get('action')) {
    case 'save': {
      const name = (fields.get('name') ?? '').trim()
      const { name: before = '' } = await administration.get(principal, id)
      const said = name === before ? {} : { name }
      const role = fields.has('role') ? { role: roleIn(fields) } : {}
      await administration.update(principal, id, { ...said, ...role })
      return { note: say.saved }
    }
    case 'disable':
      await administration.update(principal, id, { disabled: true })
      return { note: say.switchedOff }
    case 'enable':
      await administration.update(principal, id, { disabled: false })
      return { note: say.switchedOn }
    case 'password':
      return { made: await administration.resetPassword(principal, id) }
    case 'end':
      await administration.endAccess(principal, id)
      return { note: say.ended }
    case 'remove':
      await administration.remove(principal, id)
      return 'removed'
    default:
      throw new Fault('bad_form', { because: 'the form asks for something that is not there' })
  }
}

/** Draws the page. Throws Fault('not_found') where there is no such person. */
export async function personPage(
  { administration, forms, clock }: Needs,
  visit: SignedIn,
  { made, note, refusal, fields }: Shown = {},
): Promise<Response> {
  const { principal, tenant, params } = visit
  const person = await administration.get(principal, params['user'] ?? '')
  const last = (await administration.lastSignIns(principal, [person.id])).get(person.id)
  const { token, cookies } = forms.issue(visit, 'people')
  const action = pathIn(tenant, `${peoplePath}/${person.id}`)
  const isCaller = person.id === principal.user.id
  const drawn = await page({
    tenant,
    title: nameOf(person),
    status: refusal?.status ?? 200,
    signedInAs: nameOf(principal.user),
    place: { here: 'people', isAdmin: true },
    body: html`
      <p><a href="${pathIn(tenant, peoplePath)}">${say.all}</a></p>
      <h1><bdi>${nameOf(person)}</bdi></h1>
      ${note === undefined ? '' : html`<p class="note good" role="status">${note}</p>`}
      ${problemNote(refusal?.problem)} ${made === undefined ? '' : passwordCard(made)}
      ${factsCard(person, { last, now: clock.now(), isCaller })}
      ${formsOf({ person, token, action, isCaller, fields, roles: rolesOpenTo(principal) })}
    `,
  })
  return withCookies(drawn, cookies)
}

interface Facts {
  readonly last: number | undefined
  readonly now: number
  readonly isCaller: boolean
}

function factsCard(person: ListedUser, { last, now, isCaller }: Facts): Html {
  const { id, email, emailVerified, createdAt } = person
  return html`<section class="card">
    <p>${pillsOf(person, { isCaller })}</p>
    <dl class="facts">
      <dt>${say.email}</dt>
      <dd>
        <bdi>${email ?? say.noEmail}</bdi>
        ${email === undefined || emailVerified ? '' : html`<span class="quiet">(${say.notProven})</span>`}
      </dd>
      <dt>${say.lastSignedIn}</dt>
      <dd>${last === undefined ? say.neverSignedIn : ago(last, now)}</dd>
      <dt>${say.hereSince}</dt>
      <dd>${when(createdAt)}</dd>
      <dt>ID</dt>
      <dd><code>${id}</code></dd>
    </dl>
  </section>`
}

interface FormFacts {
  readonly person: ListedUser
  readonly token: string
  readonly action: string
  readonly isCaller: boolean
  /** What was typed in vain. */
  readonly fields: URLSearchParams | undefined
  readonly roles: ReturnType<typeof rolesOpenTo>
}

/** Whoever may not change this person sees no form that would be refused, but why. */
function formsOf(facts: FormFacts): Html {
  const { person, isCaller, roles } = facts
  if (!roles.includes(person.role)) return html`<p class="note">${say.isOperator}</p>`
  return html`${ownForm(facts)} ${isCaller ? html`<p class="note">${say.isYou}</p>` : ''}
  ${stepsOf(person, isCaller).map((step) => stepForm(facts, step))}`
}

function ownForm({ person, token, action, isCaller, fields, roles }: FormFacts): Html {
  const name = fields?.get('name') ?? person.name ?? ''
  const role = fields?.has('role') === true ? roleIn(fields) : person.role
  return html`<form method="post" action="${action}" class="card" autocomplete="off">
    <input type="hidden" name="form_token" value="${token}" />
    <label>
      ${say.name} <span class="quiet">${say.nameHint}</span>
      <input name="name" maxlength="${nameMaxCharacters}" value="${name}" />
    </label>
    ${isCaller ? '' : roleTicks(roles, role)}
    <p class="buttons">
      <button class="primary" name="action" value="save">${say.save}</button>
    </p>
  </form>`
}

/** Something that ends something, said before it is done. */
interface Step {
  readonly action: string
  readonly title: string
  readonly means: string
  readonly button: string
}

function stepsOf({ disabled, email }: ListedUser, isCaller: boolean): readonly Step[] {
  const { switchOff, offMeans, switchOn, onMeans } = say
  const back = { action: 'enable', title: switchOn, means: onMeans, button: switchOn }
  const out = { action: 'disable', title: switchOff, means: offMeans, button: switchOff }
  const { newPassword, newPasswordMeans, newPasswordButton, end, endMeans, endButton } = say
  const password = {
    action: 'password',
    title: newPassword,
    means: newPasswordMeans,
    button: newPasswordButton,
  }
  const { remove, removeMeans, removeButton } = say
  return [
    ...(isCaller ? [] : [disabled ? back : out]),
    // A password is for whoever has an address to sign in with.
    ...(email === undefined ? [] : [password]),
    { action: 'end', title: end, means: endMeans, button: endButton },
    ...(isCaller
      ? []
      : [{ action: 'remove', title: remove, means: removeMeans, button: removeButton }]),
  ]
}

function stepForm(
  { person, token, action }: FormFacts,
  { action: what, title, means, button }: Step,
): Html {
  return html`<details class="card">
    <summary>${title}</summary>
    <p>${means}</p>
    <form method="post" action="${action}">
      <input type="hidden" name="form_token" value="${token}" />
      <button name="action" value="${what}" aria-label="${button}: ${nameOf(person)}">
        ${button}
      </button>
    </form>
  </details>`
}
