// What REST shows of apps with access, API keys, the journal, attempts and usage.
import { z } from 'zod'
import type { GrantSummary } from '../../../issuer/grant-list.ts'
import type { ApiKeySummary } from '../../../people/api-keys.ts'
import { texts, time } from './common.ts'

export const grant = z
  .strictObject({
    id: z.string(),
    clientId: z.string(),
    clientName: z.string(),
    verifiedAs: z.strictObject({ name: z.string(), maker: z.string() }).exactOptional(),
    clientDisabled: z.boolean(),
    resource: z.string(),
    resourceName: z.string().exactOptional(),
    scopes: texts,
    createdAt: time,
    firstUsedAt: time.exactOptional(),
    lastUsedAt: time.exactOptional(),
    useCount: z.int(),
    parentId: z.string().exactOptional(),
  })
  .meta({ id: 'Grant' }) satisfies z.ZodType<GrantSummary>

export const apiKey = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    scopes: texts,
    createdAt: time,
    expiresAt: time.exactOptional(),
  })
  .meta({ id: 'ApiKey' }) satisfies z.ZodType<ApiKeySummary>

export const madeApiKey = z
  .strictObject({
    id: z.string(),
    key: z.string().describe('Shown here and nowhere else.'),
    name: z.string(),
    scopes: texts,
    expiresAt: time.exactOptional(),
  })
  .meta({ id: 'MadeApiKey' })

const entry = z
  .strictObject({
    id: z.string(),
    seq: z.int().describe('Counts from 1 without gaps; also a cursor.'),
    tenantId: z.string(),
    at: time,
    type: z.string(),
    actor: z.strictObject({ kind: z.string(), id: z.string().exactOptional() }),
    userId: z.string().exactOptional(),
    subject: z.strictObject({ kind: z.string(), id: z.string() }).exactOptional(),
    attempt: z.string().exactOptional(),
    data: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null(), texts])),
  })
  .meta({ id: 'JournalEntry' })

const outcome = z.enum(['connected', 'waiting', 'failed', 'broken'])

const finding = z.strictObject({
  code: z.string(),
  happened: z.string(),
  next: z.string(),
  clause: z.string().exactOptional(),
  at: time,
  because: z.string().exactOptional(),
})

const diagnosis = z
  .strictObject({
    outcome,
    summary: z.string(),
    findings: z.array(finding),
  })
  .meta({ id: 'Diagnosis' })

export const journalPage = z.strictObject({
  items: z.array(entry),
  nextCursor: z.int().exactOptional().describe('The `seq` of the last entry, to go on later.'),
  diagnosis: diagnosis.exactOptional().describe('What an attempt that was asked for means.'),
})

export const attempt = z
  .strictObject({
    id: z.string(),
    beganAt: time,
    latestAt: time,
    client: z.strictObject({ id: z.string(), name: z.string().exactOptional() }).exactOptional(),
    agent: z.string().exactOptional(),
    server: z.string().exactOptional(),
    person: z.strictObject({ id: z.string(), email: z.string().exactOptional() }).exactOptional(),
    outcome,
    summary: z.string(),
    finding: z.string().exactOptional(),
  })
  .meta({ id: 'Attempt' })
