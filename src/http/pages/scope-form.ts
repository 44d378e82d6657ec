// The forms of a scope: the one for a new one, and its own, with the one that removes it or puts it back; and what their
// fields say, in the words of the room that keeps scopes.
import { html } from 'hono/html'
import { nameCharsMax, wordsCharsMax } from '../../issuer/scope-input.ts'
import type { ScopeInput } from '../../issuer/scope-input.ts'
import { hasFixedMeaning } from '../../issuer/scope-registry.ts'
import type { NewScope, PublicScope } from '../../issuer/scope-registry.ts'
import type { Html } from './layout.ts'
import { problemNote } from './problem.ts'
import { words } from './words.ts'

const say = words.scopes

/** The scope that the form for a new one describes. */
export function scopeOf(fields: URLSearchParams): NewScope {
  const icon = fields.get('icon') ?? ''
  return {
    name: (fields.get('name') ?? '').trim(),
    words: fields.get('words') ?? '',
    ...(icon === '' ? {} : { icon }),
    isUsual: fields.has('usual'),
    includes: fields.getAll('includes'),
  }
}

/** What its own form says. Of a scope whose meaning is fixed only words and icon are asked. */
export function changeOf({ name }: PublicScope, fields: URLSearchParams): Partial<ScopeInput> {
  const said = { words: fields.get('words') ?? '', icon: fields.get('icon') ?? '' }
  if (hasFixedMeaning(name)) return said
  return { ...said, isUsual: fields.has('usual'), includes: fields.getAll('includes') }
}

interface NewForm {
  readonly token: string
  readonly action: string
  readonly all: readonly PublicScope[]
  /** What was typed in vain. */
  readonly fields: URLSearchParams | undefined
  readonly problem: string | undefined
}

/** Draws the form for a new one. */
export function newForm({ token, action, all, fields, problem }: NewForm): Html {
  const before = fields === undefined ? { ...nothing, isUsual: true } : scopeOf(fields)
  return html`<section class="card">
    <h2>${say.add}</h2>
    ${problemNote(problem)}
    <form method="post" action="${action}" autocomplete="off">
      <input type="hidden" name="form_token" value="${token}" />
      <label>
        ${say.name} <span class="quiet">${say.nameHint}</span>
        <input
          name="name"
          maxlength="${nameCharsMax}"
          value="${fields?.get('name') ?? ''}"
          required
        />
      </label>
      ${wordsAndIcon(before, `${say.iconHint} ${say.noIconHint}`)} ${meaning(before, all)}
      <p class="buttons">
        <button class="primary" name="action" value="add">${say.addButton}</button>
      </p>
    </form>
  </section>`
}

const nothing = { words: '', icon: '', includes: [] }

interface OwnForm {
  readonly token: string
  readonly action: string
  readonly all: readonly PublicScope[]
  readonly scope: PublicScope
  /** What was typed in vain. */
  readonly fields: URLSearchParams | undefined
}

/** Draws its own form, and the one that removes it or puts it back. */
export function ownForm({ token, action, all, scope, fields }: OwnForm): Html {
  const before = fields === undefined ? scope : { ...scope, ...changeOf(scope, fields) }
  const others = all.filter(({ name }) => name !== scope.name)
  return html`<form method="post" action="${action}" class="card" autocomplete="off">
      <input type="hidden" name="form_token" value="${token}" />
      ${wordsAndIcon(before, say.iconHint)}
      ${
        hasFixedMeaning(scope.name)
          ? html`<p class="quiet">${say.fixed}</p>`
          : meaning(before, others)
      }
      <p class="buttons">
        <button class="primary" name="action" value="save">${say.save}</button>
      </p>
    </form>
    ${scope.isOwn ? removeForm({ token, action, scope }) : ''}`
}

function wordsAndIcon(before: Partial<ScopeInput>, iconHint: string): Html {
  return html`<label>
      ${say.wordsLabel} <span class="quiet">${say.wordsHint}</span>
      <input name="words" maxlength="${wordsCharsMax}" value="${before.words ?? ''}" required />
    </label>
    <label>
      ${say.icon} <span class="quiet">${iconHint}</span>
      <input name="icon" maxlength="64" value="${before.icon ?? ''}" />
    </label>`
}

function meaning({ isUsual, includes = [] }: Partial<ScopeInput>, all: readonly PublicScope[]) {
  const holdable = all.filter(({ name }) => !hasFixedMeaning(name))
  return html`<label class="tick">
      <input type="checkbox" name="usual" value="on" ${isUsual === true ? 'checked' : ''} />
      <span>${say.usual}</span>
    </label>
    ${holdable.length === 0 ? '' : includesTicks(holdable, includes)}`
}

function includesTicks(all: readonly PublicScope[], includes: readonly string[]): Html {
  return html`<fieldset>
    <legend>${say.holds}</legend>
    ${all.map(
      ({ name, words: permits }) =>
        html`<label class="tick">
          <input
            type="checkbox"
            name="includes"
            value="${name}"
            ${includes.includes(name) ? 'checked' : ''}
          />
          <span
            ><bdi>${permits}</bdi> <span class="quiet"><code>${name}</code></span></span
          >
        </label>`,
    )}
  </fieldset>`
}

/** A built-in one that was changed is put back; another one goes. */
function removeForm({ token, action, scope }: Pick<OwnForm, 'token' | 'action' | 'scope'>): Html {
  const [title, means, button] = scope.isBuiltIn
    ? [say.putBack, say.putBackMeans, say.putBackButton]
    : [say.remove, say.removeMeans, say.removeButton]
  return html`<details class="card">
    <summary>${title}</summary>
    <p>${means}</p>
    <form method="post" action="${action}">
      <input type="hidden" name="form_token" value="${token}" />
      <button name="action" value="remove" aria-label="${button}: ${scope.name}">${button}</button>
    </form>
  </details>`
}
