// `latchkey config`: every setting with what it is now, its default and its meaning. Secrets are only said to be set.
import { readConfig, settings } from '../config.ts'
import type { Setting } from '../config.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** Checks the settings and prints them. */
export function printConfig(environment: Environment, { json }: { json?: boolean }): void {
  readConfig(environment)
  const rows = settings.map((setting) => describe(environment, setting))
  if (json === true) {
    console.log(JSON.stringify(rows, null, 2))
    return
  }
  for (const { name, value, fallback, words } of rows) {
    console.log(
      `${name}=${value ?? ''}\n    ${words}${fallback === undefined ? '' : ` (default ${fallback || 'empty'})`}`,
    )
  }
}

function describe(environment: Environment, { name, fallback, words, isSecret }: Setting) {
  const given = environment[name]
  const shown = isSecret === true && given !== undefined ? '(set)' : given
  return { name, value: shown ?? fallback, fallback, words }
}
