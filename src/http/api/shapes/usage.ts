// What REST shows of how a tenant is used.
import { z } from 'zod'
import { usageKinds } from '../../../journal/call-usage.ts'
import { time } from './common.ts'

const troubledClient = z.strictObject({
  clientId: z.string(),
  name: z.string().exactOptional(),
  expiredCodes: z.int(),
  failedAttempts: z.int(),
})

export const usage = z
  .strictObject({
    at: time,
    activeTokens: z.int(),
    activeClients: z.int(),
    expiredTokens: z.int(),
    tokensPerClient: z.array(
      z.strictObject({ clientId: z.string(), name: z.string(), tokens: z.int() }),
    ),
    troubledClients: z.array(troubledClient),
    tokensPerDay: z.array(z.strictObject({ day: z.string(), tokens: z.int() })),
    failedAuthorizations: z.int(),
    refusals: z.array(z.strictObject({ type: z.string(), error: z.string(), count: z.int() })),
    tableRows: z.record(z.string(), z.int()).exactOptional(),
    journalEntriesLastDay: z.int(),
  })
  .meta({ id: 'Usage' })

const sums = {
  calls: z.int(),
  failed: z.int().describe('Answered with an error, or not at all.'),
  refused: z.int().describe('Not let through.'),
  meanMs: z.int().describe('Of a call, in milliseconds.'),
}

const day = z.string().describe('A day (UTC), as 2026-07-28.')

export const callUsage = z
  .strictObject({
    from: day,
    to: day,
    by: z.enum(usageKinds),
    items: z.array(
      z.strictObject({
        id: z
          .string()
          .exactOptional()
          .describe('Of the server, client or person; of a tool that of its server.'),
        name: z.string().exactOptional(),
        tool: z.string().exactOptional(),
        ...sums,
      }),
    ),
    perDay: z.array(z.strictObject({ day, ...sums })),
  })
  .meta({ id: 'CallUsage' })
