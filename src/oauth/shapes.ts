// The shapes that documents from strangers share, and the one way to take known keys out of such a document.
// Nothing is copied but validated own properties, so `__proto__` and its kin have no way in.

import { z } from 'zod'
import { isScopeToken } from './scope.ts'
import { displayName } from './shown-text.ts'
import { parseHttpUri } from './uri.ts'

/** A JSON object as it was parsed: nothing in it is trusted. */
export type JsonObject = Readonly<Record<string, unknown>>

/** The longest string in a document. */
export const stringCharsMax = 2048
/** The longest list in a document. */
export const listItemsMax = 1000

export const shortString = z.string().min(1).max(stringCharsMax)
export const flag = z.boolean()
export const stringList = z.array(shortString).max(listItemsMax).readonly()
export const httpUrl = shortString.refine((text) => parseHttpUri(text) !== undefined)
export const httpsUrl = httpUrl.refine((text) => /^https:/i.test(text))
export const scopeList = stringList.transform((scopes) =>
  Object.freeze(scopes.filter(isScopeToken)),
)
export const shownName = z.string().transform(displayName)

/** Reads a JSON object; arrays and everything else are nothing. */
export function asObject(json: unknown): JsonObject | undefined {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return undefined
  return json as JsonObject // An object that is no array has string keys and unknown values.
}

/** An own field of a document; null counts as absent, as many servers write it so. */
export function field(document: JsonObject, name: string): unknown {
  if (!Object.hasOwn(document, name)) return undefined
  return document[name] ?? undefined
}

type Fields = Readonly<Record<string, z.ZodType>>

/** What `pick` returns: every field optional, in the type its shape gives it. */
export type Picked<F extends Fields> = {
  readonly [K in keyof F]?: Exclude<z.output<F[K]>, undefined>
}

/** Takes the known fields out of a document; what has the wrong shape is handed to `onWrong` and left out. */
export function pick<F extends Fields>(
  document: JsonObject,
  fields: F,
  onWrong: (name: string) => void = () => undefined,
): Picked<F> {
  const found = Object.entries(fields).flatMap(([name, shape]): [string, unknown][] => {
    const value = field(document, name)
    if (value === undefined) return []
    const read = shape.safeParse(value)
    if (!read.success) onWrong(name)
    return read.success && read.data !== undefined ? [[name, read.data]] : []
  })
  return Object.fromEntries(found) as Picked<F> // Each value was just read by the shape of its name.
}
