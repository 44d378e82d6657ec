// What REST shows of a person's connections and of the flows that make them.
import { z } from 'zod'
import type {
  Authorization,
  GivenToken,
  PublicConnection,
} from '../../../connectors/connections.ts'
import type { FlowView } from '../../../upstream/flows.ts'
import { texts, time, trace } from './common.ts'

const statuses = [
  'disconnected',
  'authorizing',
  'connected',
  'refreshing',
  'reauth_required',
  'error',
] as const

export const connection = z
  .strictObject({
    id: z.string(),
    serverId: z.string(),
    serverName: z.string(),
    serverUrl: z.string(),
    label: z.string(),
    status: z.enum(statuses),
    statusReason: z.string().exactOptional().describe('Why it stands so, for programs.'),
    statusWords: z.string().exactOptional().describe('The reason, for people.'),
    authorized: z.boolean().describe('It works now, or will without the person’s help.'),
    scopes: texts,
    missingScopes: texts.exactOptional().describe('What the server asked for on top.'),
    shared: z.boolean().describe('Everybody uses it who may use the server and has none.'),
    expiresAt: time.exactOptional(),
    nextRefreshAt: time.exactOptional(),
    lastRefreshAt: time.exactOptional(),
    refreshCount: z.int(),
    lastError: z.string().exactOptional().describe('What went wrong last, for people.'),
    createdAt: time,
    updatedAt: time,
  })
  .meta({ id: 'Connection' }) satisfies z.ZodType<PublicConnection>

const begun = z.strictObject({
  authorizeUrl: z.string().describe('The address to open in the person’s browser.'),
  flowId: z.string(),
  expiresAt: time,
  usedRegistration: z.enum(['preregistered', 'cimd', 'dcr']),
})

export const authorization = z
  .union([begun, z.strictObject({ alreadyAuthorized: z.literal(true) })])
  .meta({ id: 'Authorization' }) satisfies z.ZodType<Authorization>

export const liveToken = z
  .strictObject({
    accessToken: z.string(),
    tokenType: z.string(),
    expiresAt: time.exactOptional(),
    scopes: texts,
  })
  .meta({ id: 'LiveToken' }) satisfies z.ZodType<GivenToken>

export const flow = z
  .strictObject({
    id: z.string(),
    status: z.enum(['pending', 'completed', 'failed', 'expired']),
    connectionId: z.string(),
    beganAt: time,
    expiresAt: time.describe('Until then the person has to have come back.'),
    endedAt: time.exactOptional(),
    error: z.string().exactOptional(),
    retryable: z.boolean().exactOptional(),
    trace,
  })
  .meta({ id: 'Flow' }) satisfies z.ZodType<FlowView>
