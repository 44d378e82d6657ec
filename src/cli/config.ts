// `latchkey config`: every setting with what it is now, its default and its meaning. Secrets are only said to be set.
import { describeSettings } from '../config.ts'
import type { Environment } from '../config.ts'

/** Checks the settings and prints them. */
export function printConfig(environment: Environment, { json = false }: { json?: boolean }): void {
  const rows = describeSettings(environment)
  if (json) {
    console.log(JSON.stringify(rows, null, 2))
    return
  }
  for (const { name, value = '', fallback, words } of rows) {
    const ending =
      fallback === undefined ? '' : ` (default ${fallback === '' ? 'empty' : fallback})`
    console.log(`${name}=${value}\n    ${words}${ending}`)
  }
}
