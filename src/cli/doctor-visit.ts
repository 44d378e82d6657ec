// One visit of `latchkey doctor` to an MCP server: looks, says what it finds, tries a registration only when told, and says
// how a sign-in would end.
import type { Clock } from '../base/clock.ts'
import type { Outbound } from '../base/outbound.ts'
import type { Discovery } from '../upstream/discover.ts'
import type { TraceStep } from '../upstream/trace.ts'
import { clientFindings, scopeFindings, wayOf } from './doctor-client.ts'
import type { Us } from './doctor-client.ts'
import { endingOf } from './doctor-ending.ts'
import type { Ending } from './doctor-ending.ts'
import type { Finding } from './doctor-finding.ts'
import { lookAt } from './doctor-look.ts'
import type { Look, Question } from './doctor-look.ts'
import { providerFindings } from './doctor-provider.ts'
import { tryRegistration } from './doctor-register.ts'
import { resourceFindings } from './doctor-resource.ts'
import { addressFindings, challengeFindings } from './doctor-server.ts'

export interface Report {
  readonly url: string
  /** Could people connect? */
  readonly ok: boolean
  readonly findings: readonly Finding[]
  readonly ending: Ending
  /** What was asked, in order. */
  readonly steps: readonly TraceStep[]
}

interface Needs {
  readonly outbound: Outbound
  readonly clock: Clock
}

/** Visits, and sends no secret. */
export async function visit(
  needs: Needs,
  question: Question & { readonly register: boolean },
  us: Us,
): Promise<Report> {
  const look = await lookAt(needs, question)
  const discovery = discoveryOf(look)
  const tried =
    question.register && discovery !== undefined && wayOf(discovery, us) === 'dcr'
      ? await tryRegistration(needs, discovery, us)
      : []
  const findings = [...findingsOf(look, discovery, us), ...tried]
  const ending = endingOf(look, findings, us)
  return { url: look.url, ok: ending.kind !== 'stopped', findings, ending, steps: look.steps }
}

function discoveryOf({ outcome }: Look): Discovery | undefined {
  const isSignIn = outcome.kind === 'seen' && outcome.inspection.kind === 'oauth'
  return isSignIn ? outcome.inspection.discovery : undefined
}

/** Everything that can be said of a look. */
function findingsOf(look: Look, discovery: Discovery | undefined, us: Us): readonly Finding[] {
  const ofServer = [
    ...addressFindings(look),
    ...challengeFindings(look),
    ...resourceFindings(look),
    ...providerFindings(look),
  ]
  if (discovery === undefined) return ofServer
  return [...ofServer, ...clientFindings(discovery, us), ...scopeFindings(discovery, us)]
}
