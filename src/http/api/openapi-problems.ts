// The refusals of REST (RFC 9457) in its description: what every row of a kind may say, and what a row says of itself.
import { z } from 'zod'
import { faultCatalogue } from '../../base/fault.ts'
import type { FaultCode } from '../../base/fault.ts'
import type { Route } from '../route.ts'
import { limitsOf } from '../row-limits.ts'

/** The body of every refusal. */
export const problem = z.strictObject({
  type: z.literal('about:blank'),
  title: z.string().min(1).describe('What happened, for people.'),
  status: z.int(),
  code: z
    .string()
    .regex(/^[a-z_]+$/)
    .describe('What happened, for programs.'),
  retryable: z.boolean().describe('The same again may succeed later.'),
  reauthorize: z.boolean().describe('The person has to sign in again.'),
  reauthUrl: z.string().exactOptional().describe('Our page where the person signs in again.'),
  detail: z
    .record(z.string(), z.string())
    .exactOptional()
    .describe('Per field, what is wrong with it.'),
})

const { $schema: _same, additionalProperties: _more, ...schema } = z.toJSONSchema(problem)

export const problemSchema = schema

/** What is said of limits on every answer that was counted. */
export const limitFields = {
  RateLimit: { $ref: '#/components/headers/RateLimit' },
  'RateLimit-Policy': { $ref: '#/components/headers/RateLimitPolicy' },
}

/** The refusals of a row by their status, by reference; `default` stands for those that any request may meet. */
export function problemResponses(row: Route) {
  const responses = [...byStatus(row)].map(([status, codes]) => [status, referenceTo(codes)])
  return { ...Object.fromEntries(responses), default: referenceTo([]) }
}

/** What they refer to: many rows refuse with the same. */
export function sharedResponses(rows: readonly Route[]) {
  const sets = rows.flatMap((row) => [...byStatus(row).values()])
  return Object.fromEntries([[], ...sets].map((codes) => [nameOf(codes), response(codes)]))
}

function byStatus(row: Route): ReadonlyMap<number, readonly FaultCode[]> {
  const codes = new Set([...usualFaults(row), ...(row.faults ?? [])])
  return Map.groupBy(codes, (code) => faultCatalogue[code].status)
}

function referenceTo(codes: readonly FaultCode[]) {
  return { $ref: `#/components/responses/${nameOf(codes)}` }
}

function nameOf(codes: readonly FaultCode[]): string {
  return codes.length === 0 ? 'any_refusal' : codes.toSorted().join('.')
}

/** Does an Idempotency-Key make it happen once (idempotency.ts)? */
export function isRepeatable({ method, isNeverReplayed }: Route): boolean {
  return method !== 'GET' && isNeverReplayed !== true
}

function usualFaults(row: Route): readonly FaultCode[] {
  const { guard, path, input, query, method } = row
  const isOpen = guard === 'open'
  const mayBeRefused = !isOpen && (guard !== 'session' || method !== 'GET')
  return [
    ...(isOpen ? [] : (['not_signed_in'] as const)),
    ...(mayBeRefused ? (['forbidden'] as const) : []),
    ...(path.includes('{') ? (['not_found'] as const) : []),
    ...(input === undefined
      ? []
      : (['unsupported_media_type', 'payload_too_large', 'invalid_input'] as const)),
    ...(query === undefined ? [] : (['invalid_input'] as const)),
    ...(isRepeatable(row) ? (['idempotency_in_flight', 'idempotency_mismatch'] as const) : []),
    ...(limitsOf(row).length === 0 ? [] : (['too_many_requests'] as const)),
  ]
}

function response(codes: readonly FaultCode[]) {
  const words = codes.map((code) => `\`${code}\`: ${faultCatalogue[code].words}`)
  return {
    description: words.length === 0 ? 'A refusal.' : words.join('\n\n'),
    headers: { 'Retry-After': { $ref: '#/components/headers/RetryAfter' }, ...limitFields },
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
  }
}
