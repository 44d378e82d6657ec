// What the forms of the console are made of: one that is folded away until it is wanted, and what stands in it.
import { html } from 'hono/html'
import type { Html } from './layout.ts'

interface FoldedForm {
  readonly token: string
  /** Where it goes. */
  readonly action: string
  readonly isOpen: boolean
  /** What its button asks for. */
  readonly name: string
  readonly title: string
  readonly body: Html
  readonly button: Html | string
  readonly className?: string
  /** Its button is not what people come for. */
  readonly isPlain?: true
}

/** A form behind its title. */
export function foldedForm(form: FoldedForm): Html {
  const { token, action, isOpen, name, title, body, button, className = '', isPlain } = form
  return html`<details class="card" ${isOpen ? 'open' : ''}>
    <summary><h2>${title}</h2></summary>
    <form method="post" action="${action}" class="${className}" autocomplete="off">
      <input type="hidden" name="form_token" value="${token}" />
      ${body}
      <p class="buttons">
        <button class="${isPlain === true ? '' : 'primary'}" name="action" value="${name}">
          ${button}
        </button>
      </p>
    </form>
  </details>`
}

interface Tick {
  readonly name: string
  readonly text: string
  readonly isOn: boolean
}

/** One thing to tick. */
export function tick({ name, text, isOn }: Tick): Html {
  return html`<label class="tick">
    <input type="checkbox" name="${name}" ${isOn ? 'checked' : ''} />
    <span>${text}</span>
  </label>`
}

interface Choice {
  readonly name: string
  readonly legend: string
  readonly chosen: string
  readonly options: Readonly<Record<string, string>>
}

/** One of several. */
export function choice({ name, legend, chosen, options }: Choice): Html {
  return html`<fieldset>
    <legend>${legend}</legend>
    ${Object.entries(options).map(
      ([value, text]) =>
        html`<label class="tick">
          <input
            type="radio"
            name="${name}"
            value="${value}"
            ${value === chosen ? 'checked' : ''}
          />
          <span>${text}</span>
        </label>`,
    )}
  </fieldset>`
}

interface Lines {
  readonly name: string
  readonly label: string
  readonly hint: string
  readonly text: string
  /** `named`: only wanted where names are asked for. */
  readonly className?: 'named'
}

/** Several things, one a line. */
export function lines({ name, label, hint, text, className }: Lines): Html {
  return html`<label class="${className ?? ''}">
    ${label} <span class="quiet">${hint}</span>
    <textarea name="${name}" rows="4" spellcheck="false">${text}</textarea>
  </label>`
}
