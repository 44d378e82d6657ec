// Apps with access: whom a person let in, to what, how much they use it, and the button that takes it back. Works without
// scripts.
import { html } from 'hono/html'
import { nameOf } from '../../people/users.ts'
import { isFault } from '../../base/fault.ts'
import type { GrantSummary } from '../../issuer/grant-list.ts'
import type { Issuer } from '../../issuer/issuer.ts'
import type { ShownScope } from '../../issuer/scopes.ts'
import { isAdmin } from '../../people/principal.ts'
import type { SessionPrincipal } from '../../people/principal.ts'
import { redirect, toSignIn } from '../answers.ts'
import type { Forms } from '../forms.ts'
import { withCookies } from '../forms.ts'
import { pageRequestOf } from '../page-request.ts'
import { pathIn } from '../place.ts'
import { route } from '../route.ts'
import type { Route, SignedIn } from '../route.ts'
import { keptNote, scopeList } from './consent.ts'
import { page } from './layout.ts'
import type { Html } from './layout.ts'
import { when } from './when.ts'

interface Needs {
  readonly issuer: Issuer
  readonly forms: Forms
}

const path = '/console/apps'

/** The rows of the page. */
export function appPages({ issuer, forms }: Needs): readonly Route[] {
  return [
    route({
      method: 'GET',
      path,
      guard: 'visitor',
      surface: 'page',
      words: 'Apps with access: what the person let in.',
      run: async (visit) =>
        visit.session === undefined
          ? toSignIn(path, 302)
          : appsPage({ issuer, forms }, { ...visit, principal: visit.session }),
    }),
    route({
      method: 'POST',
      path,
      guard: 'session',
      surface: 'page',
      words: 'Takes the access of an app back.',
      run: async (visit) => {
        const grantId = forms.read(visit, 'apps').get('grant') ?? ''
        await takeBack(issuer, visit.principal, grantId)
        return redirect(path, 303)
      },
    }),
  ]
}

/** Whoever presses twice, or in two windows, has what they wanted the second time too. */
async function takeBack(issuer: Issuer, principal: SessionPrincipal, id: string): Promise<void> {
  try {
    await issuer.grants.revoke(principal, id)
  } catch (thrown) {
    if (!isFault(thrown) || thrown.code !== 'not_found') throw thrown
  }
}

const perPage = 50

async function appsPage({ issuer, forms }: Needs, visit: SignedIn): Promise<Response> {
  const { principal, tenant, query } = visit
  const { items, nextCursor } = await issuer.grants.list(principal, {
    ...pageRequestOf(query),
    limit: perPage,
  })
  const scopes = await issuer.scopes.show(tenant, [...new Set(items.flatMap((one) => one.scopes))])
  const { token, cookies } = forms.issue(visit, 'apps')
  const here = pathIn(tenant, path)
  const drawn = await page({
    tenant,
    title: 'Apps with access',
    signedInAs: nameOf(principal.user),
    place: { here: 'apps', isAdmin: isAdmin(principal) },
    body: html`
      <h1>Apps with access</h1>
      <p class="quiet">
        These programs may act for you. Whatever you take back ends at once, on their next request.
      </p>
      ${keptNote(tenant)}
      <section class="card">
        ${
          items.length === 0
            ? html`<p>No app has access${query.has('cursor') ? ' from here on' : ' yet'}.</p>`
            : items.map((grant) => appRow({ grant, scopes, token, here }))
        }
      </section>
      ${nextCursor === undefined ? '' : html`<p><a href="${here}?cursor=${nextCursor}">Show more</a></p>`}
    `,
  })
  return withCookies(drawn, cookies)
}

interface Row {
  readonly grant: GrantSummary
  /** The scopes of all rows, with their words. */
  readonly scopes: readonly ShownScope[]
  readonly token: string
  /** The address of the page. */
  readonly here: string
}

function appRow({ grant, scopes, token, here }: Row): Html {
  const own = scopes.filter(({ name }) => grant.scopes.includes(name))
  return html`
    <div class="row">
      <div class="wide">
        <strong><bdi>${grant.clientName}</bdi></strong> ${badge(grant)}
        <div>
          may use <strong><bdi>${grant.resourceName ?? 'a server that is no more'}</bdi></strong>
          <span class="quiet">at <code>${grant.resource}</code></span>
        </div>
        ${scopeList(own)}
        <div class="quiet">${useOf(grant)}</div>
      </div>
      <form method="post" action="${here}">
        <input type="hidden" name="form_token" value="${token}" />
        <input type="hidden" name="grant" value="${grant.id}" />
        <button aria-label="Take access back from ${grant.clientName}">Take access back</button>
      </form>
    </div>
  `
}

function badge({ verifiedAs, clientDisabled }: GrantSummary): Html {
  if (clientDisabled)
    return html`<span class="pill attention">Switched off by an administrator</span>`
  if (verifiedAs === undefined) return html``
  const { name, maker } = verifiedAs
  return html`<span class="pill good">Verified</span>
    <span class="quiet">${name} by ${maker}</span>`
}

function useOf({ createdAt, firstUsedAt, lastUsedAt, useCount }: GrantSummary): Html {
  const since = html`Let in ${when(createdAt)}.`
  if (lastUsedAt === undefined) return html`${since} Not used yet.`
  // Whoever checks signed tokens by itself is not seen; that more tokens were asked for is.
  if (firstUsedAt === undefined) return html`${since} Last used ${when(lastUsedAt)}.`
  const count = useCount === 1 ? 'Used once' : `Used ${useCount.toLocaleString('en')} times`
  return html`${since} ${count}, first ${when(firstUsedAt)}, last ${when(lastUsedAt)}.`
}
