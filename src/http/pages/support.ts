// What people asked for help with, for administrators: what it is, how far it is, and whether people can ask at all. Works
// without scripts.
import { html } from 'hono/html'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { supportPriorities, supportStatuses } from '../../people/support-requests.ts'
import type { SupportRequest, SupportRequests } from '../../people/support-requests.ts'
import { nameOf } from '../../people/users.ts'
import { redirect } from '../answers.ts'
import type { Forms } from '../forms.ts'
import { withCookies } from '../forms.ts'
import { pageRequestOf } from '../page-request.ts'
import { pathIn } from '../place.ts'
import type { Route, SignedIn } from '../route.ts'
import { adminForm, adminPage } from './admin-page.ts'
import { choices } from './choices.ts'
import { page } from './layout.ts'
import type { Html } from './layout.ts'
import { ago } from './when.ts'

interface Needs {
  readonly support: SupportRequests
  readonly forms: Forms
  readonly clock: Clock
}

const path = '/console/support'
const perPage = 50

/** The rows of the page. */
export function supportPages(needs: Needs): readonly Route[] {
  return [
    adminPage({
      path,
      words: 'What people asked for help with, for administrators.',
      run: (visit) => supportPage(needs, visit),
    }),
    adminForm({
      path,
      words: 'Says how far a request for help is, or whether people can ask.',
      run: (visit) => change(needs, visit),
    }),
  ]
}

async function change({ support, forms }: Needs, visit: SignedIn): Promise<Response> {
  const { principal } = visit
  const fields = forms.read(visit, 'support')
  const action = fields.get('action')
  if (action === 'dashboard' || action === 'none') {
    await support.change(principal, action)
    return redirect(path, 303)
  }
  const status = supportStatuses.find((one) => one === fields.get('status'))
  const priority = supportPriorities.find((one) => one === fields.get('priority'))
  if (action !== 'save' || status === undefined || priority === undefined) {
    throw new Fault('bad_form', { because: 'the form asks for something that is not there' })
  }
  await support.update(principal, fields.get('request') ?? '', { status, priority })
  return redirect(path, 303)
}

async function supportPage({ support, forms, clock }: Needs, visit: SignedIn): Promise<Response> {
  const { principal, query, tenant } = visit
  const here = pathIn(tenant, path)
  const status = supportStatuses.find((one) => one === query.get('status'))
  const asked = { ...pageRequestOf(query), limit: perPage }
  const [{ items, nextCursor }, { support: kind }] = await Promise.all([
    support.list(principal, asked, { status }),
    support.settings(principal),
  ])
  const { token, cookies } = forms.issue(visit, 'support')
  const more = new URLSearchParams({
    ...(status === undefined ? {} : { status }),
    ...(nextCursor === undefined ? {} : { cursor: nextCursor }),
  })
  const drawn = await page({
    tenant,
    title: 'Support',
    signedInAs: nameOf(principal.user),
    place: { here: 'support', isAdmin: true },
    body: html`
      <h1>Support</h1>
      ${switchCard(kind === 'dashboard', { token, here })} ${filterOf(status, here)}
      <section class="card">
        ${
          items.length === 0
            ? html`<p>Nobody has asked${status === undefined ? ' yet' : ' that stands so'}.</p>`
            : items.map((request) => requestRow(request, { token, here, now: clock.now() }))
        }
      </section>
      ${nextCursor === undefined ? '' : html`<p><a href="${here}?${String(more)}">Show more</a></p>`}
    `,
  })
  return withCookies(drawn, cookies)
}

function switchCard(
  isOn: boolean,
  { token, here }: { readonly token: string; readonly here: string },
): Html {
  const words = isOn
    ? 'People can ask for help through their apps, with the tool get_support.'
    : 'People cannot ask for help through their apps. Switch it on when somebody reads what they write.'
  return html`<form method="post" action="${here}" class="card">
    <input type="hidden" name="form_token" value="${token}" />
    <p>${words}</p>
    <button name="action" value="${isOn ? 'none' : 'dashboard'}">
      ${isOn ? 'Switch off' : 'Switch on'}
    </button>
  </form>`
}

const statusWords: Readonly<Record<SupportRequest['status'], string>> = {
  needs_email: 'Needs an address',
  pending: 'Pending',
  in_progress: 'In progress',
  resolved: 'Resolved',
  closed: 'Closed',
}
const priorityWords: Readonly<Record<SupportRequest['priority'], string>> = {
  low: 'Low',
  medium: 'Medium',
  high: 'High',
}

function filterOf(chosen: SupportRequest['status'] | undefined, here: string): Html {
  return choices(
    'Which requests',
    [undefined, ...supportStatuses].map((status) => ({
      text: status === undefined ? 'All' : statusWords[status],
      href: status === undefined ? here : `${here}?status=${status}`,
      isChosen: status === chosen,
    })),
  )
}

function requestRow(
  request: SupportRequest,
  { token, here, now }: { readonly token: string; readonly here: string; readonly now: number },
): Html {
  const { id, title, description, context, email, emailVerified, createdAt } = request
  const { status, priority } = request
  return html`
    <article class="row">
      <div class="wide">
        <strong><bdi>${title}</bdi></strong>
        <span class="pill ${status === 'pending' ? 'attention' : ''}">${statusWords[status]}</span>
        <p class="words">${description}</p>
        ${
          context === undefined
            ? ''
            : html`<details>
                <summary>What was tried</summary>
                <p class="words">${context}</p>
              </details>`
        }
        <div class="quiet">
          <bdi>${email ?? 'No address'}</bdi>
          ${email === undefined || emailVerified ? '' : '(not proven)'} · ${ago(createdAt, now)}
        </div>
      </div>
      <form method="post" action="${here}" class="buttons">
        <input type="hidden" name="form_token" value="${token}" />
        <input type="hidden" name="request" value="${id}" />
        ${choice({ name: 'status', label: `How far is ${title}?`, chosen: status, words: statusWords })}
        ${choice({
          name: 'priority',
          label: `How much does ${title} press?`,
          chosen: priority,
          words: priorityWords,
        })}
        <button name="action" value="save" aria-label="Save ${title}">Save</button>
      </form>
    </article>
  `
}

interface Choice {
  readonly name: string
  readonly label: string
  readonly chosen: string
  readonly words: Readonly<Record<string, string>>
}

function choice({ name, label, chosen, words }: Choice): Html {
  return html`<select name="${name}" aria-label="${label}">
    ${Object.entries(words).map(
      ([value, text]) =>
        html`<option value="${value}" ${value === chosen ? 'selected' : ''}>${text}</option>`,
    )}
  </select>`
}
