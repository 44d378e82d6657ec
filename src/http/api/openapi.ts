// The description of REST (OpenAPI 3.1), made from the rows that serve it. It is the same for everybody and tells nothing
// about a tenant.
import { z } from 'zod'
import { baseOf } from '../../people/tenants.ts'
import type { Tenant } from '../../people/tenants.ts'
import { publicDocument, publicText } from '../answers.ts'
import { cookieNameIn, sessionCookie } from '../cookies.ts'
import { found } from '../output.ts'
import type { Output } from '../output.ts'
import { route } from '../route.ts'
import type { QueryParameter, Route } from '../route.ts'
import {
  isRepeatable,
  limitFields,
  problemResponses,
  problemSchema,
  sharedResponses,
} from './openapi-problems.ts'
import { describeShapes } from './openapi-schemas.ts'
import type { DescribedShapes } from './openapi-schemas.ts'

/** The row of `/api/v1/openapi.json`, which describes these rows and itself. */
export function openApiRoutes(rows: readonly Route[]): readonly Route[] {
  const made: { document?: ReturnType<typeof describe>; text?: string } = {}
  const documentOf = () => (made.document ??= describe([...rows.filter(isDescribed), own]))
  const own: Route = route({
    surface: 'api',
    guard: 'open',
    cors: 'public',
    path: '/api/v1/openapi.json',
    method: 'GET',
    output: found(z.looseObject({})),
    words: 'This description.',
    run: async ({ tenant }) => {
      const isAtItsHost = baseOf(tenant) === ''
      if (isAtItsHost) return publicText((made.text ??= JSON.stringify(documentOf())))
      return publicDocument(withinTenant(documentOf(), tenant))
    },
  })
  return [own]
}

/** The same for a tenant without a host of its own: other are where its paths begin, and the name of its cookie. */
function withinTenant(document: ReturnType<typeof describe>, tenant: Tenant) {
  const { session } = components.securitySchemes
  const cookie = { ...session, name: cookieNameIn(tenant, sessionCookie) }
  const schemes = { ...document.components.securitySchemes, session: cookie }
  return {
    ...document,
    servers: [{ url: baseOf(tenant) }],
    components: { ...document.components, securitySchemes: schemes },
  }
}

/** Is the row one of REST? */
export function isDescribed({ path }: Route): boolean {
  return path.startsWith('/api/v1/')
}

function describe(rows: readonly Route[]) {
  const taken = describeShapes(
    shapesOf(rows, ({ input }) => input),
    'input',
  )
  const given = describeShapes(
    shapesOf(rows, ({ output }) => shapeOf(output)),
    'output',
  )
  const byPath = Map.groupBy(rows, ({ path }) => path)
  const paths = [...byPath].map(([path, served]) => [
    path,
    Object.fromEntries(
      served.map((row) => [row.method.toLowerCase(), operation(row, { taken, given })]),
    ),
  ])
  return {
    openapi: '3.1.1',
    info: { title: 'Latchkey', version: '1' },
    servers: [{ url: '/' }],
    paths: Object.fromEntries(paths),
    components: {
      ...components,
      responses: sharedResponses(rows),
      schemas: { ...taken.shared, ...given.shared, Problem: problemSchema },
    },
  }
}

function shapesOf(
  rows: readonly Route[],
  shape: (row: Route) => z.ZodType | undefined,
): Readonly<Record<string, z.ZodType>> {
  return Object.fromEntries(
    rows.flatMap((row) => {
      const own = shape(row)
      return own === undefined ? [] : [[nameOf(row), own]]
    }),
  )
}

function shapeOf(output: Output | undefined): z.ZodType | undefined {
  return output?.kind === 'json' ? output.shape : undefined
}

interface Shapes {
  readonly taken: DescribedShapes
  readonly given: DescribedShapes
}

function operation(row: Route, { taken, given }: Shapes) {
  const name = nameOf(row)
  const body = taken.schemas[name]
  return {
    operationId: name,
    summary: row.words,
    ...(row.guard === 'admin' ? { description: 'For administrators.' } : {}),
    ...(row.guard === 'operator'
      ? { description: 'For operators, who are in the default tenant.' }
      : {}),
    security: securityOf(row),
    parameters: [
      ...pathParameters(row),
      ...(row.query ?? []).map(queryParameter),
      ...(isRepeatable(row) ? [{ $ref: '#/components/parameters/IdempotencyKey' }] : []),
    ],
    ...(body === undefined ? {} : { requestBody: { required: true, content: asJson(body) } }),
    responses: {
      ...goodResponse(row.output, given.schemas[name]),
      ...problemResponses(row),
    },
  }
}

function nameOf({ method, path }: Route): string {
  const words = path.replace('/api/v1/', '').split(/[^A-Za-z]+/)
  return (
    method.toLowerCase() +
    words.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join('')
  )
}

/** A row with a scope of its own is for keys alone. */
function securityOf({ guard, keyScope }: Route): readonly Record<string, readonly string[]>[] {
  if (guard === 'open') return []
  if (guard === 'session') return [{ session: [] }]
  return keyScope === undefined ? [{ session: [] }, { apiKey: ['api'] }] : [{ apiKey: [keyScope] }]
}

function pathParameters({ path }: Route) {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
  return names.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } }))
}

function queryParameter({ name, words, schema }: QueryParameter) {
  return { name, in: 'query', description: words, schema }
}

function asJson(schema: unknown) {
  return { 'application/json': { schema } }
}

function goodResponse(output: Output | undefined, schema: unknown) {
  if (output === undefined) return { '2XX': { description: 'It was done.' } }
  const { kind, status } = output
  const headers = limitFields
  if (kind === 'nothing') return { [status]: { description: 'It was done.', headers } }
  if (kind === 'json')
    return { [status]: { description: words[status], headers, content: asJson(schema) } }
  const content = { 'text/event-stream': { schema: { type: 'string' } } }
  return { [status]: { description: 'Events, as they happen.', headers, content } }
}

const words = { 200: 'The answer.', 201: 'What was made.', 202: 'It was begun.' } as const

const components = {
  parameters: {
    IdempotencyKey: {
      name: 'Idempotency-Key',
      in: 'header',
      description:
        'The same write with the same key happens once; for a day it gets the first answer.',
      schema: { type: 'string', pattern: '^[\\x21-\\x7e]{1,255}$' },
    },
  },
  headers: {
    RateLimit: {
      description: 'What is left of each quota, and for how many seconds: `"principal";r=99;t=30`.',
      schema: { type: 'string' },
    },
    RateLimitPolicy: {
      description:
        'The quotas that were counted, and in how many seconds: `"principal";q=100;w=60`.',
      schema: { type: 'string' },
    },
    RetryAfter: { description: 'Whole seconds to wait.', schema: { type: 'integer' } },
  },
  securitySchemes: {
    session: {
      type: 'apiKey',
      in: 'cookie',
      name: sessionCookie,
      description: 'A browser that is signed in.',
    },
    apiKey: {
      type: 'http',
      scheme: 'bearer',
      description: 'An API key, `lk_…`, with the scope named.',
    },
  },
}
