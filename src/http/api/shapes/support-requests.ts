// What REST shows of requests for help.
import { z } from 'zod'
import {
  supportKinds,
  supportPriorities,
  supportStatuses,
} from '../../../people/support-requests.ts'
import { time } from './common.ts'

export const supportRequest = z
  .strictObject({
    id: z.string(),
    userId: z.string(),
    clientId: z.string().describe('Through which app it was asked.'),
    title: z.string(),
    description: z.string(),
    context: z.string().exactOptional(),
    email: z.string().exactOptional(),
    emailVerified: z.boolean().describe('Whether somebody has proven that the address is theirs.'),
    status: z.enum(supportStatuses),
    priority: z.enum(supportPriorities),
    createdAt: time,
    updatedAt: time,
  })
  .meta({ id: 'SupportRequest' })

export const supportSettings = z
  .strictObject({
    support: z.enum(supportKinds).describe('Whether the tool get_support is there.'),
  })
  .meta({ id: 'SupportSettings' })
