import { readFileSync } from 'node:fs'
import { findPackageJSON } from 'node:module'

/** The version of this program, of a checkout as of a package. */
export function readVersion(): string {
  const manifest = findPackageJSON('..', import.meta.url)
  if (manifest === undefined) throw new Error('the program has no package.json')
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { readonly version: string }
  return version
}
