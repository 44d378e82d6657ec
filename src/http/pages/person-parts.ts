// What the list of people and the page of one have in common.
import { html } from 'hono/html'
import type { UserWithPassword } from '../../people/user-administration.ts'
import type { ListedUser } from '../../people/user-list.ts'
import { nameOf, roles } from '../../people/users.ts'
import type { Role } from '../../people/users.ts'
import type { Html } from './layout.ts'
import { words } from './words.ts'

export const peoplePath = '/console/people'
export const personPath = `${peoplePath}/{user}`

const say = words.people

/** What one may do, and whether they come in at all. */
export function pillsOf(
  { role, disabled }: ListedUser,
  { isCaller }: { readonly isCaller: boolean },
): Html {
  const state = disabled
    ? html`<span class="pill attention">${say.off}</span>`
    : html`<span class="pill good">${say.on}</span>`
  return html`<span class="pill ${role === 'user' ? '' : 'info'}">${say.roles[role]}</span> ${state}
    ${isCaller ? html`<span class="pill">${say.you}</span>` : ''}`
}

/** The choice of a role, each with what it means. */
export function roleTicks(open: readonly Role[], chosen: Role): Html {
  return html`<fieldset>
    <legend>${say.role}</legend>
    ${open.map(
      (role) =>
        html`<label class="tick">
          <input type="radio" name="role" value="${role}" ${role === chosen ? 'checked' : ''} />
          <span>${say.roles[role]} <span class="quiet">${say.mays[role]}</span></span>
        </label>`,
    )}
  </fieldset>`
}

/** The role that was chosen; the least where there is none. */
export function roleIn(fields: URLSearchParams): Role {
  return roles.find((role) => role === fields.get('role')) ?? 'user'
}

/** A new password, this once. */
export function passwordCard({ user, password }: UserWithPassword): Html {
  return html`<section class="card" role="status">
    <h2>${say.passwordOf} <bdi>${nameOf(user)}</bdi></h2>
    <p><code>${password.reveal()}</code></p>
    <p class="quiet">${say.passwordHint}</p>
  </section>`
}
