// REST for how a tenant is used, in numbers.
import { Fault } from '../../base/fault.ts'
import { usageDays, usageDaysOf, usageKindOf, usageKinds } from '../../journal/call-usage.ts'
import type { AskCallUsage, UsageKind } from '../../journal/call-usage.ts'
import type { Usage } from '../../journal/usage.ts'
import { isDefault } from '../../people/tenants.ts'
import { json } from '../answers.ts'
import { found } from '../output.ts'
import { route } from '../route.ts'
import type { QueryParameter, Route } from '../route.ts'
import * as shapes from './shapes/usage.ts'

interface Needs {
  readonly usage: Pick<Usage, 'report'>
  readonly callUsage: AskCallUsage
}

const parameters: readonly QueryParameter[] = [
  {
    name: 'by',
    words: 'What the sums are by.',
    schema: { type: 'string', enum: [...usageKinds], default: 'server' },
  },
  {
    name: 'days',
    words: 'How many days (UTC), today included.',
    schema: { type: 'integer', minimum: 1, maximum: usageDays.most, default: usageDays.usual },
  },
]

/** The rows of `/api/v1/usage`. */
export function usageRoutes({ usage, callUsage }: Needs): readonly Route[] {
  const admin = { surface: 'api', guard: 'admin', method: 'GET' } as const
  return [
    route({
      ...admin,
      path: '/api/v1/usage',
      output: found(shapes.usage),
      words: 'How this tenant is used, in numbers.',
      run: async ({ tenant }) => {
        const { tableRows, ...own } = await usage.report(tenant.id)
        // The tables are of the whole installation, which other tenants have no business with.
        return json(isDefault(tenant) ? { ...own, tableRows } : own)
      },
    }),
    route({
      ...admin,
      path: '/api/v1/usage/calls',
      query: parameters,
      output: found(shapes.callUsage),
      words:
        'How often servers, tools, clients or people call through the gateway, and how it went.',
      run: async ({ tenant, query }) => json(await callUsage(tenant.id, askedIn(query))),
    }),
  ]
}

function askedIn(query: URLSearchParams) {
  return { by: kindIn(query.get('by') ?? 'server'), days: daysIn(query.get('days')) }
}

function kindIn(text: string): UsageKind {
  const kind = usageKindOf(text)
  if (kind !== undefined) return kind
  throw new Fault('invalid_input', {
    because: 'there are no sums by that',
    detail: { by: `Use one of ${usageKinds.join(', ')}.` },
  })
}

function daysIn(text: string | null): number {
  if (text === null) return usageDays.usual
  const days = usageDaysOf(text)
  if (days !== undefined) return days
  throw new Fault('invalid_input', {
    because: 'the days are no number of days that are kept',
    detail: { days: `Use a number from 1 to ${usageDays.most}.` },
  })
}
