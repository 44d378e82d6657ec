// The parts that shapes of answers have in common.
import { z } from 'zod'

/** A moment. */
export const time = z.int().describe('Milliseconds since 1970, UTC.')

export const texts = z.array(z.string())

/** One step of a sign-in or a discovery, without a value of anybody's. */
const traceStep = z
  .strictObject({
    at: time,
    step: z.string(),
    host: z.string(),
    status: z.int().exactOptional().describe('The HTTP status of its answer.'),
    outcome: z.string(),
  })
  .meta({ id: 'TraceStep' })

export const trace = z.array(traceStep).describe('Which step asked which host, and how it went.')
