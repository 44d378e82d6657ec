// Tokens that bind a form to the browser it was drawn for (RFC 9700 §4.7.1). A token is a tag over what it is for and the
// browser's cookie, so nothing is stored.
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Random } from '../base/random.ts'
import { randomSecret } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import { browserCookie, writeCookie } from './cookies.ts'
import type { Visit } from './route.ts'

export interface Forms {
  /** A token for a form named `form`, and the Set-Cookie lines that the page must carry. */
  readonly issue: (
    visit: Visit,
    form: string,
  ) => { readonly token: string; readonly cookies: readonly string[]; readonly browser: Secret }
  /**
   * The fields of a posted form. Throws Fault('bad_form') unless its token was made for this browser and form, and
   * Fault('invalid_input') for a NUL, which Postgres cannot store and no browser lets a person type.
   */
  readonly read: (visit: Visit, form: string) => URLSearchParams
}

/** Makes the form tokens of all pages but consent, which has a token of its own. */
export function createForms(needs: { readonly keyring: Keyring; readonly random: Random }): Forms {
  const { keyring, random } = needs
  const factsOf = (visit: Visit, form: string, browser: Secret) =>
    JSON.stringify([visit.tenant.id, form, browser.reveal()])

  return {
    issue: (visit, form) => {
      const browser = visit.browser ?? randomSecret(random)
      const cookies =
        visit.browser === undefined ? [writeCookie(visit.tenant, browserCookie, browser)] : []
      return { token: keyring.sign('form', factsOf(visit, form, browser)), cookies, browser }
    },

    read: (visit, form) => {
      const fields = new URLSearchParams(visit.body)
      const token = fields.get('form_token') ?? ''
      const isOurs =
        visit.browser !== undefined &&
        keyring.verify('form', factsOf(visit, form, visit.browser), token)
      if (!isOurs) {
        throw new Fault('bad_form', { because: `the ${form} form was drawn for another browser` })
      }
      if (![...fields.values()].some((value) => value.includes('\0'))) return fields
      throw new Fault('invalid_input', { because: `a field of the ${form} form holds a NUL` })
    },
  }
}

/** Adds Set-Cookie lines to a page. */
export function withCookies(response: Response, cookies: readonly string[]): Response {
  for (const cookie of cookies) response.headers.append('set-cookie', cookie)
  return response
}
