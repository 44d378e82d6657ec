// The plain answer to "why did it fail?": a pure function over the entries of one attempt.
import { findings, personWaitMs, programWaitMs } from './findings.ts'
import type { Finding } from './findings.ts'
import { createStory, isOpen } from './story.ts'
import type { Story, StoryEntry } from './story.ts'

/** What became of an attempt, and what stands in its way. */
export interface Diagnosis {
  /** `broken`: it was connected and then refused. */
  readonly outcome: 'connected' | 'waiting' | 'failed' | 'broken'
  /** In one sentence. */
  readonly summary: string
  /** The reasons, the most telling first. */
  readonly findings: readonly Told[]
}

/** A finding with the moment that shows it. */
export interface Told {
  readonly code: string
  readonly happened: string
  readonly next: string
  readonly clause?: string
  readonly at: number
  /** What we wrote down about it. */
  readonly because?: string
}

const findingsMax = 5
const waits = { programMs: programWaitMs, personMs: personWaitMs }

/** Tells what the entries of an attempt, in their order, mean at this moment. */
export function diagnose(entries: readonly StoryEntry[], now: number): Diagnosis {
  const story = createStory(entries, now)
  const applying = findings.flatMap((finding) => {
    const entry = finding.shownBy(story)
    return entry === undefined ? [] : [{ finding, entry }]
  })
  const reasons = applying.filter(({ finding }) => finding.isAside !== true)
  // A general row repeats what a special one before it says of the same entry.
  const told = applying.filter(
    ({ entry }, index) => applying.findIndex((other) => other.entry === entry) === index,
  )
  const outcome = outcomeOf(story, reasons.length > 0)
  return {
    outcome,
    summary: summaryOf(outcome, story, reasons[0]?.finding),
    findings: told.slice(0, findingsMax).map(({ finding, entry }) => tell(finding, entry)),
  }
}

function outcomeOf(story: Story, hasReason: boolean): Diagnosis['outcome'] {
  if (story.stage === 'connected') return hasReason ? 'broken' : 'connected'
  if (hasReason) return 'failed'
  return isOpen(story, waits) ? 'waiting' : 'failed'
}

function summaryOf(
  outcome: Diagnosis['outcome'],
  { stage }: Story,
  reason: Finding | undefined,
): string {
  if (reason !== undefined) return reason.happened
  if (outcome === 'connected') return 'The client is connected: its first call was answered.'
  if (outcome === 'failed') return 'Too little is known of this attempt to say more.'
  if (stage === 'authorizing') return 'The person is being asked to sign in and to approve.'
  return 'The attempt is under way.'
}

function tell({ code, happened, next, clause }: Finding, { at, data }: StoryEntry): Told {
  const because = data['because'] ?? data['reason'] ?? data['error']
  return {
    code,
    happened,
    next,
    ...(clause === undefined ? {} : { clause }),
    at,
    ...(typeof because === 'string' ? { because } : {}),
  }
}
