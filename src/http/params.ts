// What stands in the placeholders of a row's path.
import { Fault } from '../base/fault.ts'

type Params = Readonly<Record<string, string>>

/** The id of one of our rows. */
export function idOf(params: Params): string {
  return params['id'] ?? ''
}

/** A name that may be anything, also a URL, and so comes escaped. Throws Fault('not_found') for what is not escaped right. */
export function unescapedOf(params: Params, name: string): string {
  try {
    return decodeURIComponent(params[name] ?? '')
  } catch (cause) {
    throw new Fault('not_found', { because: `the ${name} is not escaped as it should be`, cause })
  }
}
