// What a row of REST answers with when all is well. It describes and does not check: the tests hold every answer against it.
import { z } from 'zod'

/** A good answer: its status and what is in it. */
export type Output =
  | { readonly kind: 'json'; readonly status: 200 | 201 | 202; readonly shape: z.ZodType }
  | { readonly kind: 'nothing'; readonly status: 204 }
  | { readonly kind: 'events'; readonly status: 200 }

/** 200 with JSON of this shape. */
export function found(shape: z.ZodType): Output {
  return { kind: 'json', status: 200, shape }
}

/** 201 with what was made. */
export function made(shape: z.ZodType): Output {
  return { kind: 'json', status: 201, shape }
}

/** 202: it will be done. */
export function begun(shape: z.ZodType): Output {
  return { kind: 'json', status: 202, shape }
}

/** 200 with a page of a list. */
export function page(item: z.ZodType): Output {
  return found(
    z.strictObject({
      items: z.array(item),
      nextCursor: z
        .string()
        .exactOptional()
        .describe('Where the next page begins; the last one has none.'),
    }),
  )
}

/** 204. */
export const nothing: Output = { kind: 'nothing', status: 204 }

/** 200 with server-sent events. */
export const eventStream: Output = { kind: 'events', status: 200 }
