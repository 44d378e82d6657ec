// The description of REST (OpenAPI 3.1), made from the rows that serve it. It is the same for everybody and tells nothing
// about a tenant.
import { z } from 'zod'
import { publicText } from '../answers.ts'
import { sessionCookie } from '../cookies.ts'
import { route } from '../route.ts'
import type { QueryParameter, Route } from '../route.ts'

/** The row of `/api/v1/openapi.json`, which describes these rows and itself. */
export function openApiRoutes(rows: readonly Route[]): readonly Route[] {
  let document: string | undefined
  const own: Route = route({
    surface: 'api',
    guard: 'open',
    cors: 'public',
    path: '/api/v1/openapi.json',
    method: 'GET',
    words: 'This description.',
    run: async () => {
      document ??= JSON.stringify(describe([...rows.filter(isDescribed), own]))
      return publicText(document)
    },
  })
  return [own]
}

/** Is the row one of REST? */
export function isDescribed({ path }: Route): boolean {
  return path.startsWith('/api/v1/')
}

function describe(rows: readonly Route[]) {
  const byPath = Map.groupBy(rows, ({ path }) => path)
  const paths = [...byPath].map(([path, served]) => [
    path,
    Object.fromEntries(served.map((row) => [row.method.toLowerCase(), operation(row)])),
  ])
  return {
    openapi: '3.1.1',
    info: { title: 'Latchkey', version: '1' },
    servers: [{ url: '/' }],
    paths: Object.fromEntries(paths),
    components,
  }
}

function operation(row: Route) {
  return {
    operationId: nameOf(row),
    summary: row.words,
    ...(row.guard === 'admin' ? { description: 'For administrators.' } : {}),
    security: securityOf(row),
    parameters: [
      ...pathParameters(row),
      ...(row.query ?? []).map(queryParameter),
      ...(isRepeatable(row) ? [idempotencyKey] : []),
    ],
    ...(row.input === undefined ? {} : { requestBody: bodyOf(row.input) }),
    responses: {
      '2XX': { description: 'It was done.' },
      default: { $ref: '#/components/responses/Problem' },
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

function isRepeatable({ method, isNeverReplayed }: Route): boolean {
  return method !== 'GET' && isNeverReplayed !== true
}

const idempotencyKey = { $ref: '#/components/parameters/IdempotencyKey' }

function bodyOf(input: z.ZodType) {
  const { $schema: _same, ...schema } = z.toJSONSchema(input, { io: 'input' })
  return { required: true, content: { 'application/json': { schema } } }
}

const problem = z.object({
  type: z.string(),
  title: z.string().describe('What happened, for people.'),
  status: z.int(),
  code: z.string().describe('What happened, for programs.'),
  retryable: z.boolean().describe('The same again may succeed later.'),
  reauthorize: z.boolean().describe('The person has to sign in again.'),
  detail: z.record(z.string(), z.string()).optional().describe('Per field, what is wrong with it.'),
})

const { $schema: _same, ...problemSchema } = z.toJSONSchema(problem, { io: 'input' })

const components = {
  schemas: { Problem: problemSchema },
  responses: {
    Problem: {
      description: 'A refusal (RFC 9457).',
      headers: {
        'Retry-After': { description: 'Whole seconds to wait.', schema: { type: 'integer' } },
        RateLimit: { schema: { type: 'string' } },
        'RateLimit-Policy': { schema: { type: 'string' } },
      },
      content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
    },
  },
  parameters: {
    IdempotencyKey: {
      name: 'Idempotency-Key',
      in: 'header',
      description:
        'The same write with the same key happens once; for a day it gets the first answer.',
      schema: { type: 'string', pattern: '^[\\x21-\\x7e]{1,255}$' },
    },
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
