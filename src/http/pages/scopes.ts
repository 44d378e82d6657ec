// Scopes, for administrators: what apps can ask for, drawn as the consent page draws it, with the servers that use each; one
// more; and each on a page of its own. Works without scripts.
import { html } from 'hono/html'
import type { Servers } from '../../connectors/servers.ts'
import { Fault } from '../../base/fault.ts'
import type { Issuer } from '../../issuer/issuer.ts'
import { hasFixedMeaning } from '../../issuer/scope-registry.ts'
import type { PublicScope } from '../../issuer/scope-registry.ts'
import { toolsScope } from '../../issuer/scopes.ts'
import type { ShownScope } from '../../issuer/scopes.ts'
import { nameOf } from '../../people/users.ts'
import { redirect } from '../answers.ts'
import type { Forms } from '../forms.ts'
import { withCookies } from '../forms.ts'
import { unescapedOf } from '../params.ts'
import { pathIn } from '../place.ts'
import type { Route, SignedIn } from '../route.ts'
import { adminForm, adminPage } from './admin-page.ts'
import { scopeList } from './consent.ts'
import { page } from './layout.ts'
import type { Html } from './layout.ts'
import { problemNote, refusalOf } from './problem.ts'
import type { Refusal } from './problem.ts'
import { changeOf, newForm, ownForm, scopeOf } from './scope-form.ts'
import { words } from './words.ts'

interface Needs {
  readonly issuer: Issuer
  readonly servers: Pick<Servers, 'perScope'>
  readonly forms: Forms
}

const path = '/console/scopes'
const onePath = `${path}/{scope}`
const say = words.scopes

/** The rows of the pages. */
export function scopePages(needs: Needs): readonly Route[] {
  return [
    adminPage({
      path,
      words: 'The scopes of this tenant, for administrators.',
      run: (visit) => scopesPage(needs, visit),
    }),
    adminForm({ path, words: 'Adds a scope.', run: (visit) => add(needs, visit) }),
    adminPage({
      path: onePath,
      words: 'One scope, to be said in other words, changed or removed.',
      run: async (visit) => scopePage(needs, visit, await scopeAt(needs, visit)),
    }),
    adminForm({
      path: onePath,
      words: 'Changes a scope, removes it, or gives a built-in one its first words back.',
      run: (visit) => change(needs, visit),
    }),
  ]
}

/** What is shown besides what is stored. */
interface Shown {
  readonly note?: string
  readonly refusal?: Refusal
  /** What was typed in vain. */
  readonly fields?: URLSearchParams
}

async function add(needs: Needs, visit: SignedIn): Promise<Response> {
  const fields = needs.forms.read(visit, 'scopes')
  if (fields.get('action') !== 'add') throw unknownAction()
  try {
    await needs.issuer.scopes.create(visit.principal, scopeOf(fields))
    return await scopesPage(needs, visit, { note: say.added })
  } catch (thrown) {
    return scopesPage(needs, visit, { fields, refusal: refusalOf(thrown) })
  }
}

async function change(needs: Needs, visit: SignedIn): Promise<Response> {
  const { scopes } = needs.issuer
  const scope = await scopeAt(needs, visit)
  const fields = needs.forms.read(visit, 'scopes')
  const action = fields.get('action')
  if (action !== 'save' && action !== 'remove') throw unknownAction()
  try {
    if (action === 'remove') {
      await scopes.remove(visit.principal, scope.name)
      return redirect(path, 303)
    }
    const saved = await scopes.update(visit.principal, scope.name, changeOf(scope, fields))
    return await scopePage(needs, visit, saved, { note: say.saved })
  } catch (thrown) {
    const refusal = refusalOf(thrown)
    return scopePage(needs, visit, scope, action === 'save' ? { fields, refusal } : { refusal })
  }
}

function unknownAction(): Fault {
  return new Fault('bad_form', { because: 'the form asks for something that is not there' })
}

async function scopeAt({ issuer }: Needs, { principal, params }: SignedIn): Promise<PublicScope> {
  const name = unescapedOf(params, 'scope')
  const all = await issuer.scopes.list(principal)
  const scope = all.find((one) => one.name === name)
  if (scope !== undefined) return scope
  throw new Fault('not_found', { because: 'no such scope in this tenant' })
}

async function scopesPage(
  { issuer, servers, forms }: Needs,
  visit: SignedIn,
  { note, refusal, fields }: Shown = {},
): Promise<Response> {
  const { principal, tenant } = visit
  const [all, uses] = await Promise.all([issuer.scopes.list(principal), servers.perScope(tenant)])
  const names = all.map(({ name }) => name)
  const shown = new Map((await issuer.scopes.show(tenant, names)).map((one) => [one.name, one]))
  const { token, cookies } = forms.issue(visit, 'scopes')
  const here = pathIn(tenant, path)
  const drawn = await page({
    tenant,
    title: say.title,
    status: refusal?.status ?? 200,
    signedInAs: nameOf(principal.user),
    place: { here: 'scopes', isAdmin: true },
    body: html`
      <h1>${say.title}</h1>
      <p class="quiet">${say.lead}</p>
      ${noteOf(note)}
      <section class="card">
        ${all.map((scope) =>
          scopeRow(scope, {
            shown: shown.get(scope.name) ?? scope,
            usedBy: uses.get(scope.name) ?? [],
            here,
          }),
        )}
      </section>
      ${newForm({ token, action: here, all, fields, problem: refusal?.problem })}
    `,
  })
  return withCookies(drawn, cookies)
}

function noteOf(note: string | undefined): Html {
  return note === undefined ? html`` : html`<p class="note good" role="status">${note}</p>`
}

interface RowFacts {
  readonly shown: ShownScope
  readonly usedBy: readonly string[]
  readonly here: string
}

function scopeRow(scope: PublicScope, { shown, usedBy, here }: RowFacts): Html {
  const { name } = scope
  return html`
    <div class="row">
      <div class="wide">
        ${scopeList([shown])}
        <div><code>${name}</code> ${pillsOf(scope)}</div>
        <div class="quiet">${usesOf(name, usedBy)}</div>
      </div>
      <p class="buttons">
        <a
          class="button"
          href="${here}/${encodeURIComponent(name)}"
          aria-label="${say.edit} ${name}"
          >${say.edit}</a
        >
      </p>
    </div>
  `
}

function pillsOf({ isBuiltIn, isOwn, isUsual }: PublicScope): Html {
  return html`${isBuiltIn ? html`<span class="pill">${say.builtIn}</span>` : ''}
  ${isBuiltIn && isOwn ? html`<span class="pill info">${say.inYourWords}</span>` : ''}
  ${isUsual ? '' : html`<span class="pill">${say.byName}</span>`}`
}

const serversShownMax = 5

function usesOf(scope: string, servers: readonly string[]): Html {
  if (servers.length === 0) return html`${withoutServers(scope)}`
  const named = servers.slice(0, serversShownMax).map((name, at) => {
    const before = at === 0 ? '' : ', '
    return html`${before}<bdi>${name}</bdi>`
  })
  return html`${say.usedBy} ${named} ${servers.length > serversShownMax ? say.others : ''}`
}

function withoutServers(scope: string): string {
  if (scope === toolsScope) return say.usedByOthers
  return hasFixedMeaning(scope) ? say.identity : say.unused
}

async function scopePage(
  { issuer, servers, forms }: Needs,
  visit: SignedIn,
  scope: PublicScope,
  { note, refusal, fields }: Shown = {},
): Promise<Response> {
  const { principal, tenant } = visit
  const [all, shown, uses] = await Promise.all([
    issuer.scopes.list(principal),
    issuer.scopes.show(tenant, [scope.name]),
    servers.perScope(tenant),
  ])
  const { token, cookies } = forms.issue(visit, 'scopes')
  const action = pathIn(tenant, `${path}/${encodeURIComponent(scope.name)}`)
  const drawn = await page({
    tenant,
    title: scope.name,
    status: refusal?.status ?? 200,
    signedInAs: nameOf(principal.user),
    place: { here: 'scopes', isAdmin: true },
    body: html`
      <p><a href="${pathIn(tenant, path)}">${say.all}</a></p>
      <h1><code>${scope.name}</code></h1>
      ${noteOf(note)} ${problemNote(refusal?.problem)}
      <section class="card">
        <h2>${say.asked}</h2>
        ${scopeList(shown)}
        <p>${pillsOf(scope)}</p>
        <p class="quiet">${usesOf(scope.name, uses.get(scope.name) ?? [])}</p>
      </section>
      ${ownForm({ token, action, all, scope, fields })}
    `,
  })
  return withCookies(drawn, cookies)
}
