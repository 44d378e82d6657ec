// One server, for administrators: what is known of it, whether it answers, and the forms that change it. What the forms look
// like stands in server-forms.ts, what is shown in server-facts.ts. Works without scripts.
import { html } from 'hono/html'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { PublicServer, ServerInput, Servers, ServerTest } from '../../connectors/servers.ts'
import type { Issuer } from '../../issuer/issuer.ts'
import type { Providers } from '../../people/providers.ts'
import type { UserAdministration } from '../../people/user-administration.ts'
import { nameOf } from '../../people/users.ts'
import { redirect } from '../answers.ts'
import type { Forms } from '../forms.ts'
import { withCookies } from '../forms.ts'
import { pathIn } from '../place.ts'
import type { Route, SignedIn } from '../route.ts'
import { keepingTokens, serversForm, serversPath } from './add-server.ts'
import { adminForm, adminPage } from './admin-page.ts'
import { page } from './layout.ts'
import type { Html } from './layout.ts'
import { problemIn, problemNote } from './problem.ts'
import type { Problem } from './problem.ts'
import { factsCard, testCard } from './server-facts.ts'
import { accessOf, changeOf, peopleAmong, policyOf, toolScopesOf } from './server-fields.ts'
import type { FindPerson } from './server-fields.ts'
import { accessForm, changeForm, policyForm, removeForm, scopesForm } from './server-forms.ts'
import { words } from './words.ts'

interface Needs {
  readonly servers: Servers
  readonly providers: Pick<Providers, 'list'>
  readonly administration: Pick<UserAdministration, 'find'>
  readonly issuer: Pick<Issuer, 'scopes'>
  readonly forms: Forms
  readonly clock: Clock
}

const said = words.server
const path = `${serversPath}/{server}`

/** The rows of the page. */
export function serverPages(needs: Needs): readonly Route[] {
  return [
    adminPage({
      path,
      words: 'One server, for administrators.',
      run: async (visit) => serverPage(needs, visit, await serverAt(needs, visit)),
    }),
    adminForm({
      path,
      words: 'Tries a server out, changes it, or removes it.',
      run: (visit) => change(needs, visit),
    }),
  ]
}

function serverAt({ servers }: Needs, { principal, params }: SignedIn): Promise<PublicServer> {
  return servers.get(principal, params['server'] ?? '')
}

async function change(needs: Needs, visit: SignedIn): Promise<Response> {
  const { servers } = needs
  const { principal } = visit
  const server = await serverAt(needs, visit)
  const fields = needs.forms.read(visit, serversForm)
  const action = fields.get('action') ?? ''
  if (action === 'remove') {
    await servers.remove(principal, server.id)
    return redirect(serversPath, 303)
  }
  if (action === 'test') {
    const test = await servers.test(principal, server.id)
    // What it found out about the server shows on the page.
    return serverPage(needs, visit, await serverAt(needs, visit), { test })
  }
  try {
    const input = await inputOf(needs, visit, { server, action, fields })
    if (Object.keys(input).length === 0) {
      return await serverPage(needs, visit, server, { action, note: said.unchanged })
    }
    const changed = await servers.update(principal, server.id, input)
    return await serverPage(needs, visit, changed, { action, note: said.saved })
  } catch (thrown) {
    return serverPage(needs, visit, server, { action, fields, problem: problemIn(thrown) })
  }
}

interface Sent {
  readonly server: PublicServer
  readonly action: string
  readonly fields: URLSearchParams
}

async function inputOf(
  { administration }: Needs,
  { tenant }: SignedIn,
  { server, action, fields }: Sent,
): Promise<Partial<ServerInput>> {
  if (action === 'change') return changeOf(server, fields)
  if (action === 'policy') return { toolPolicy: policyOf(fields) }
  if (action === 'scopes') return { toolScopes: toolScopesOf(fields) }
  if (action !== 'access') {
    throw new Fault('bad_form', { because: 'the form asks for something that is not there' })
  }
  const find: FindPerson = (who) => administration.find(tenant, who)
  const identityHeaders = fields.get('identityHeaders') === 'on'
  const mayUse = await accessOf(fields, find)
  return identityHeaders === server.identityHeaders ? { mayUse } : { mayUse, identityHeaders }
}

/** What is shown besides what is stored. */
interface Shown {
  /** The form that was sent; it stays open. */
  readonly action?: string
  readonly fields?: URLSearchParams
  readonly problem?: Problem
  readonly note?: string
  readonly test?: ServerTest
}

async function serverPage(
  needs: Needs,
  visit: SignedIn,
  server: PublicServer,
  shown: Shown = {},
): Promise<Response> {
  const { forms, clock } = needs
  const { tenant, principal } = visit
  const { note, problem, test } = shown
  const { token, cookies } = forms.issue(visit, serversForm)
  const action = pathIn(tenant, `${serversPath}/${server.id}`)
  const drawn = await page({
    tenant,
    title: server.name,
    status: problem?.status ?? 200,
    signedInAs: nameOf(principal.user),
    place: { here: 'servers', isAdmin: true },
    body: html`
      <p><a href="${pathIn(tenant, serversPath)}">${said.all}</a></p>
      <h1><bdi>${server.name}</bdi></h1>
      ${note === undefined ? '' : html`<p class="note" role="status">${note}</p>`}
      ${problemNote(problem?.words)} ${factsCard({ server, tenant, now: clock.now() })}
      ${testCard({ server, tenant, test, token, action })}
      ${await formsOf(needs, visit, { server, token, action, shown })}
    `,
  })
  return withCookies(drawn, cookies)
}

interface Drawn {
  readonly server: PublicServer
  readonly token: string
  readonly action: string
  readonly shown: Shown
}

async function formsOf(
  { servers, providers, administration, issuer }: Needs,
  { tenant, principal }: SignedIn,
  { server, shown, ...where }: Drawn,
): Promise<Html> {
  const find: FindPerson = (who) => administration.find(tenant, who)
  const [usable, scopes, signIns, people] = await Promise.all([
    keepingTokens(providers, principal),
    issuer.scopes.list(principal),
    servers.countSignIns(principal, server.id),
    namesOf(server, find),
  ])
  const form = (name: string) => ({
    ...where,
    server,
    isOpen: shown.action === name,
    fields: shown.action === name ? shown.fields : undefined,
  })
  return html`
    ${changeForm({ ...form('change'), providers: usable, signIns })} ${policyForm(form('policy'))}
    ${scopesForm({ ...form('scopes'), known: scopes.map(({ name }) => name) })}
    ${accessForm({ ...form('access'), people })} ${removeForm({ ...form('remove'), signIns })}
  `
}

/** The people of its list as an administrator reads them. */
async function namesOf({ mayUse = [] }: PublicServer, find: FindPerson) {
  const people = peopleAmong(mayUse)
  return Promise.all(
    people.map(async (id) => {
      const person = await find(id)
      return person?.email ?? id
    }),
  )
}
