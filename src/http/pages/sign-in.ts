// Sign-in, sign-out and the set-up of the first operator. All forms work without scripts.
import { html } from 'hono/html'
import { Fault, isFault } from '../../base/fault.ts'
import { Secret } from '../../base/secret.ts'
import type { AuthorizeHub } from '../../issuer/authorize.ts'
import type { Journal } from '../../journal/entries.ts'
import { minimumPasswordLength } from '../../people/passwords.ts'
import type { OfferedProvider, Providers } from '../../people/providers.ts'
import type { Sessions } from '../../people/sessions.ts'
import type { Setup } from '../../people/setup.ts'
import { isDefault } from '../../people/tenants.ts'
import type { Tenant } from '../../people/tenants.ts'
import type { User, Users } from '../../people/users.ts'
import type { Database } from '../../store/database.ts'
import { redirect } from '../answers.ts'
import { clearCookie, sessionCookie, writeCookie } from '../cookies.ts'
import type { Forms } from '../forms.ts'
import { withCookies } from '../forms.ts'
import { hasDotSegment, pathIn, placeOf } from '../place.ts'
import { route } from '../route.ts'
import type { Recognised, Route, Visit } from '../route.ts'
import { page } from './layout.ts'
import type { Html } from './layout.ts'
import { problemNote, problemOf } from './problem.ts'
import type { SignInTries } from './sign-in-tries.ts'

/** What the sign-in page and whatever leads to it need. */
export interface SignInNeeds {
  readonly db: Database
  readonly users: Users
  readonly sessions: Sessions
  readonly setup: Setup
  readonly forms: Forms
  readonly journal: Journal
  readonly tries: SignInTries
  readonly providers: Pick<Providers, 'offered'>
  readonly issuer: { readonly authorize: Pick<AuthorizeHub, 'waiting'> }
}

type Needs = SignInNeeds

export const home = '/console/connections'

/** The rows of the pages on the way in. */
export function signInRoutes(needs: Needs): readonly Route[] {
  const shared = { guard: 'visitor', surface: 'page' } as const
  return [
    route({
      ...shared,
      method: 'GET',
      path: '/sign-in',
      words: 'The sign-in page.',
      // Also for who is signed in: a client may ask for a fresh sign-in (prompt=login).
      run: async (visit) => {
        const isNew = (await needs.users.count(visit.tenant)) === 0
        const isClosed = isNew && (await needs.providers.offered(visit.tenant)).length === 0
        if (isClosed) return notSetUpPage(visit.tenant)
        return signInPage(needs, visit, { next: visit.query.get('next') ?? home })
      },
    }),
    route({
      ...shared,
      method: 'POST',
      path: '/sign-in',
      words: 'Signs a person in with e-mail and password.',
      run: (visit) => signIn(needs, visit),
    }),
    route({
      guard: 'session',
      surface: 'page',
      method: 'POST',
      path: '/sign-out',
      words: 'Ends the session of this browser.',
      run: async (visit) => {
        needs.forms.read(visit, 'sign-out')
        await needs.sessions.end(visit.principal)
        return redirect('/sign-in', 303, [clearCookie(visit.tenant, sessionCookie)])
      },
    }),
    ...setupRoutes(needs),
  ]
}

function setupRoutes(needs: Needs): readonly Route[] {
  const shared = { guard: 'visitor', surface: 'page', path: '/setup', limits: ['setup'] } as const
  return [
    route({
      ...shared,
      method: 'GET',
      words: 'The page that makes who administers first, behind a one-time link.',
      run: async (visit) => {
        const link = visit.query.get('link') ?? ''
        if (!(await needs.setup.isOpen(visit.tenant, new Secret(link)))) {
          throw notOpen(await needs.setup.isDone(visit.tenant))
        }
        return setupPage(needs, visit, { link })
      },
    }),
    route({
      ...shared,
      method: 'POST',
      words: 'Makes who administers first and signs them in.',
      run: (visit) => completeSetup(needs, visit),
    }),
  ]
}

async function signIn(needs: Needs, visit: Recognised): Promise<Response> {
  const fields = needs.forms.read(visit, 'sign-in')
  const email = fields.get('email') ?? ''
  const next = fields.get('next') ?? home
  const password = new Secret(fields.get('password') ?? '')
  const user = await needs.tries.counting(visit, email, () =>
    needs.users.verifyPassword(visit.tenant, email, password),
  )
  if (user !== undefined) {
    const response = await signedIn(needs, visit, { user }, safeNext(next))
    return withCookies(response, [needs.tries.remember(visit, email)])
  }
  await needs.journal.record(needs.db, {
    tenantId: visit.tenant.id,
    type: 'user.sign_in_failed',
    actor: { kind: 'anonymous' },
  })
  const problem = 'That e-mail and password do not belong together. Try again.'
  return signInPage(needs, visit, { next, email, problem })
}

async function completeSetup(needs: Needs, visit: Recognised): Promise<Response> {
  const fields = needs.forms.read(visit, 'setup')
  const link = fields.get('link') ?? ''
  const email = fields.get('email') ?? ''
  const password = new Secret(fields.get('password') ?? '')
  try {
    const user = await needs.setup.complete(visit.tenant, new Secret(link), { email, password })
    return await signedIn(needs, visit, { user }, home)
  } catch (thrown) {
    if (!isFault(thrown) || thrown.code !== 'invalid_input') throw thrown
    return setupPage(needs, visit, { link, email, problem: problemOf(thrown) })
  }
}

/** Begins the session of somebody who has just proved who they are, and goes on. */
export async function signedIn(
  { sessions }: Pick<Needs, 'sessions'>,
  { tenant, session }: Recognised,
  { user, providerGrantId }: { readonly user: User; readonly providerGrantId?: string },
  next: string,
): Promise<Response> {
  // One browser has one session: the one before must not live on where nobody can see or end it.
  if (session !== undefined) await sessions.end(session)
  const { cookie } = await sessions.begin(tenant, user, providerGrantId)
  return redirect(next, 303, [writeCookie(tenant, sessionCookie, cookie)])
}

/** Only a path of this tenant may follow a sign-in: no scheme, no host, no `//`, no backslash, and no way out of it. */
export function safeNext(next: string | null): string {
  if (next === null || !/^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(next)) return home
  const [path = ''] = next.split(/[?#]/, 1)
  return hasDotSegment(path) || placeOf(path).slug !== undefined ? home : next
}

function emailField(email: string): Html {
  return html`<label>
    E-mail
    <input name="email" type="email" value="${email}" autocomplete="username" required />
  </label>`
}

function notSetUpPage(tenant: Tenant): Promise<Response> {
  return page({
    tenant,
    title: 'Not set up yet',
    body: html`
      <section class="card narrow">
        <h1>Not set up yet</h1>
        <p>Nobody has an account here. Open the link that Latchkey printed when it started.</p>
        <p class="quiet">Lost it? Start Latchkey again: it prints a new one.</p>
      </section>
    `,
  })
}

interface SignInForm {
  readonly next: string
  readonly email?: string
  readonly problem?: string
  /** 401, unless said. */
  readonly status?: number
}

/** The request of a client that the path leads back to; undefined for any other path. */
export function requestIn(next: string): string | undefined {
  return /^\/oauth\/consent\?request=(?<id>req_\w{1,64})$/.exec(next)?.groups?.['id']
}

/** Draws the ways in; what did not work before stands above them. */
export async function signInPage(
  needs: Omit<Needs, 'tries'>,
  visit: Visit,
  form: SignInForm,
): Promise<Response> {
  const { forms, users, providers } = needs
  const { token, cookies } = forms.issue(visit, 'sign-in')
  const { next, email = '', problem, status = 401 } = form
  const shared = { token, next: safeNext(next), tenant: visit.tenant }
  const others = await providers.offered(visit.tenant)
  const takesPasswords = others.length === 0 || (await users.haveAnyPassword(visit.tenant))
  const { tenant } = visit
  const drawn = await page({
    tenant,
    title: 'Sign in',
    status: problem === undefined ? 200 : status,
    formsLeadTo: 'anywhere',
    body: html`
      <section class="card narrow">
        <h1>Sign in</h1>
        <p class="quiet">
          to <bdi>${visit.tenant.name}</bdi> at <code>${visit.tenant.issuer}</code>
        </p>
        ${await waitingNote(needs, visit, next)} ${problemNote(problem)}
        ${takesPasswords ? passwordForm(shared, email) : ''}
        ${takesPasswords && others.length > 0 ? html`<p class="or">or</p>` : ''}
        <div class="ways">${others.map((provider) => providerForm(shared, provider))}</div>
      </section>
    `,
  })
  return withCookies(drawn, cookies)
}

interface FormFields {
  readonly tenant: Tenant
  readonly token: string
  readonly next: string
}

function hiddenFields({ token, next }: FormFields): Html {
  return html`<input type="hidden" name="form_token" value="${token}" />
    <input type="hidden" name="next" value="${next}" />`
}

function passwordForm(fields: FormFields, email: string): Html {
  return html`<form method="post" action="${pathIn(fields.tenant, '/sign-in')}">
    ${hiddenFields(fields)} ${emailField(email)}
    <label>
      Password
      <input name="password" type="password" autocomplete="current-password" required />
    </label>
    <button class="primary">Sign in</button>
  </form>`
}

function providerForm(fields: FormFields, { slug, name }: OfferedProvider): Html {
  return html`<form method="post" action="${pathIn(fields.tenant, `/sign-in/${slug}`)}">
    ${hiddenFields(fields)}
    <button>Continue with <bdi>${name}</bdi></button>
  </form>`
}

/** Who waits and where the answer goes, before a provider is asked that may answer without a question (A4-7, P-20). */
async function waitingNote({ issuer }: Pick<Needs, 'issuer'>, visit: Visit, next: string) {
  const requestId = requestIn(next)
  if (requestId === undefined) return html``
  const waiting = await issuer.authorize.waiting(visit.tenant, requestId, visit.browser)
  if (waiting === undefined) return html``
  return html`<p>
    <bdi>${waiting.clientName}</bdi> asks to be let in; answers go to
    <code>${waiting.redirectHost}</code>. You decide after you have signed in.
  </p>`
}

interface SetupForm {
  readonly link: string
  readonly email?: string
  readonly problem?: string
}

async function setupPage({ forms }: Needs, visit: Visit, form: SetupForm): Promise<Response> {
  const { token, cookies } = forms.issue(visit, 'setup')
  const { link, email = '', problem } = form
  const { tenant } = visit
  const drawn = await page({
    tenant,
    title: 'Set up Latchkey',
    status: problem === undefined ? 200 : 422,
    body: html`
      <section class="card narrow">
        <h1>Set up Latchkey</h1>
        <p>You are the first. This makes your account, ${chiefWords(visit)}.</p>
        ${problemNote(problem)}
        <form method="post" action="${pathIn(tenant, '/setup')}">
          <input type="hidden" name="form_token" value="${token}" />
          <input type="hidden" name="link" value="${link}" />
          ${emailField(email)}
          <label>
            Password
            <input
              name="password"
              type="password"
              autocomplete="new-password"
              minlength="${minimumPasswordLength}"
              required
            />
            <span class="quiet">At least ${minimumPasswordLength} characters.</span>
          </label>
          <button class="primary">Create my account</button>
        </form>
      </section>
    `,
  })
  return withCookies(drawn, cookies)
}

function chiefWords({ tenant }: Visit): Html {
  if (isDefault(tenant)) return html`the operator of this installation`
  return html`the administrator of <bdi>${tenant.name}</bdi>`
}

function notOpen(isSetUp: boolean): Fault {
  const link = isSetUp
    ? 'Latchkey is set up already: sign in with the account that was made.'
    : 'Start Latchkey again: it prints a new link. In a tenant of its own, ask its operator for one.'
  const because = 'the set-up link was used, replaced or has expired'
  return new Fault('gone', { because, detail: { link } })
}
