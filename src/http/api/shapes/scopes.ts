// What REST shows of scopes.
import { z } from 'zod'
import { texts } from './common.ts'

export const scope = z
  .strictObject({
    name: z.string(),
    words: z.string(),
    icon: z.string(),
    usual: z.boolean().describe('Is it given to a client that names no scope?'),
    includes: texts,
    builtIn: z.boolean(),
    own: z.boolean().describe('Are these the tenant’s own words?'),
  })
  .meta({ id: 'Scope' })

export const scopeList = z.strictObject({ items: z.array(scope) })
