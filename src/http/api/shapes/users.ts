// What REST shows of people.
import { z } from 'zod'
import { roles } from '../../../people/users.ts'
import { time } from './common.ts'

export const user = z
  .strictObject({
    id: z.string(),
    tenantId: z.string(),
    email: z.string().exactOptional(),
    emailVerified: z.boolean(),
    name: z.string().exactOptional(),
    role: z.enum(roles),
    disabled: z.boolean(),
    createdAt: time,
  })
  .meta({ id: 'User' })

export const userWithPassword = z
  .strictObject({
    ...user.omit({ disabled: true, createdAt: true }).shape,
    password: z.string().describe('Shown this once.'),
  })
  .meta({ id: 'UserWithPassword' })
