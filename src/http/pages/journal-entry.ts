// One entry of the journal in words, and its facts for whoever wants to know exactly.
import { html } from 'hono/html'
import type { Actor, EntryData, SealedEntry } from '../../journal/entries.ts'
import type { Names } from '../../journal/names.ts'
import type { Html } from './layout.ts'
import { short } from './shown.ts'
import { when } from './when.ts'
import { words } from './words.ts'

const { journal } = words
/** A fact that is longer is whole in the download. */
const factCharsMax = 160

/** What stands around the entries of a page. */
export interface Around {
  readonly names: Names
  /** Where a search for this leads. */
  readonly search: (field: 'person' | 'thing', value: string) => string
  /** Where an attempt is told. */
  readonly attempt: (id: string) => string
}

/** The entry in a row. */
export function entryRow(entry: SealedEntry, around: Around): Html {
  const { names, search } = around
  const { seq, type, at, subject, userId, attempt } = entry
  const isForAnother = userId !== undefined && userId !== entry.actor.id && userId !== subject?.id
  return html`<article class="row">
    <div class="wide">
      <strong>${journal.entries[type]}</strong>${aboutOf(entry, names)}
      <div class="quiet">
        ${when(at)} · ${journal.by} ${actorOf(entry.actor, around)}
        ${
          isForAnother
            ? html`· ${journal.forWhom}
                <a href="${search('person', userId)}"><bdi>${nameIn(names, userId)}</bdi></a>`
            : ''
        }
        ${
          attempt === undefined
            ? ''
            : html`· <a href="${around.attempt(attempt)}">${journal.wholeAttempt}</a>`
        }
      </div>
      <details>
        <summary>${journal.facts} ${seq}</summary>
        ${factsOf(entry, search)}
      </details>
    </div>
  </article>`
}

function nameIn(names: Names, id: string): string {
  return short(names.get(id) ?? id)
}

/** What it is about, where that says more than the kind does: the tool of a call, and what was done something with. */
function aboutOf({ subject, actor, data }: SealedEntry, names: Names): Html {
  const { tool, method } = data
  const called = typeof tool === 'string' ? tool : method
  const isAboutItself = subject === undefined || subject.id === actor.id
  const name = isAboutItself ? undefined : names.get(subject.id)
  const parts = [called, name].filter((part) => typeof part === 'string')
  return html`${parts.map((part) => html` · <bdi>${short(part)}</bdi>`)}`
}

function actorOf({ kind, id }: Actor, { names, search }: Around): Html {
  if (id === undefined) return html`${journal.nobody[kind]}`
  const href = search(kind === 'user' ? 'person' : 'thing', id)
  const name = names.get(id)
  const link = html`<a href="${href}"><bdi>${short(name ?? id)}</bdi></a>`
  return name === undefined ? html`${journal.nobody[kind]} ${link}` : link
}

function factsOf(entry: SealedEntry, search: Around['search']): Html {
  const { at, type, actor, userId, subject, attempt, data } = entry
  return html`<dl class="facts">
    ${fact(journal.when, new Date(at).toISOString())} ${fact(journal.type, type)}
    ${fact(journal.byWhom, [actor.kind, actor.id].filter(Boolean).join(' '))}
    ${userId === undefined ? '' : fact(journal.forWhom, userId)}
    ${
      subject === undefined
        ? ''
        : html`<dt>${journal.about}</dt>
            <dd>
              ${subject.kind}
              <a href="${search('thing', subject.id)}"><code>${subject.id}</code></a>
            </dd>`
    }
    ${attempt === undefined ? '' : fact(journal.attempt, attempt)} ${factsIn(data)}
  </dl>`
}

/** What an entry tells besides. */
export function factsIn(data: EntryData): Html {
  return html`${Object.entries(data).map(([name, value]) => fact(name, textOf(value)))}`
}

function fact(name: string, value: string): Html {
  return html`<dt>${name}</dt>
    <dd><code>${short(value, factCharsMax)}</code></dd>`
}

function textOf(value: EntryData[string] | undefined): string {
  return Array.isArray(value) ? value.join(', ') : String(value)
}
