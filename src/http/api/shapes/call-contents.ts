// What REST shows of what was said in calls.
import { z } from 'zod'
import { time } from './common.ts'

const shared = {
  id: z.string(),
  at: time,
  userId: z.string().exactOptional().describe('Missing for a program that acts for itself.'),
  clientId: z.string(),
  serverId: z.string(),
  server: z.string().describe('Its slug at that time; `mcp` for Latchkey’s own tools.'),
  method: z.string(),
  tool: z.string().exactOptional(),
  status: z.int().describe('The HTTP status of the answer.'),
  durationMs: z.int(),
  inputIsCut: z.boolean().describe('Only its first 64 KiB are kept.'),
  outputIsCut: z.boolean(),
}

export const listedContent = z.strictObject(shared).meta({ id: 'ListedCallContent' })

export const content = z
  .strictObject({
    ...shared,
    input: z
      .string()
      .describe('The `params` of the request, as JSON; what is cut is none any more.'),
    output: z
      .string()
      .exactOptional()
      .describe('`{"result": …}` or `{"error": …}`, as JSON; missing where no answer came.'),
  })
  .meta({ id: 'CallContent' })
