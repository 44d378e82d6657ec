// The entries of one attempt, asked as a story: how far did it come, what was refused and not made good later, after what
// was there silence? Pure; what the answers mean is in findings.ts.
import type { SealedEntry } from './entries.ts'

/** What the story needs of an entry. */
export type StoryEntry = Pick<SealedEntry, 'type' | 'at' | 'data'>

/** How far an attempt came. */
export type Stage =
  | 'challenged'
  | 'discovered'
  | 'registered'
  | 'authorizing'
  | 'approved'
  | 'token'
  | 'connected'

export interface Story {
  readonly stage: Stage | undefined
  /** How long ago its last entry is. */
  readonly quietMs: number
  /** The last refusal of this type that no success of the same kind followed. */
  readonly refused: (
    type: StoryEntry['type'],
    error?: string | RegExp,
    because?: RegExp,
  ) => StoryEntry | undefined
  /** The same for a refresh token. */
  readonly refusedRefresh: () => StoryEntry | undefined
  /** The entry of this stage, when nothing came after it for so long. */
  readonly silentAfter: (stage: Stage, waitMs: number) => StoryEntry | undefined
  /** The last call that was passed on and answered with an error, while none was answered well. */
  readonly failedCall: () => StoryEntry | undefined
  /** The last address without metadata, when no other was found and nothing came after for so long. */
  readonly missedEverything: (waitMs: number) => StoryEntry | undefined
  readonly lastMissing: (path?: RegExp) => StoryEntry | undefined
  readonly slowest: (leastMs: number) => StoryEntry | undefined
}

const stages: readonly Stage[] = [
  'challenged',
  'discovered',
  'registered',
  'authorizing',
  'approved',
  'token',
  'connected',
]

/** Makes the story of entries in their order, as it looks at this moment. */
export function createStory(entries: readonly StoryEntry[], now: number): Story {
  const reached = entries.flatMap((entry) => {
    const stage = stageOf(entry)
    return stage === undefined ? [] : [{ entry, rank: stages.indexOf(stage) }]
  })
  const furthest = reached.reduce((most, { rank }) => Math.max(most, rank), -1)
  const stage = stages[furthest]
  const lastOfFurthest = reached.findLast(({ rank }) => rank === furthest)?.entry

  const open = entries.filter((entry, index) => {
    const rank = refusalRank(entry)
    if (rank === undefined) return false
    const later = entries.slice(index + 1).map(stageOf)
    return !later.some((next) => next !== undefined && stages.indexOf(next) >= rank)
  })
  const quietMs = now - (entries.at(-1)?.at ?? now)
  const refusedWhere = (fits: (entry: StoryEntry) => boolean) => open.findLast(fits)

  return {
    stage,
    quietMs,
    refused: (type, error, because) =>
      refusedWhere((entry) => entry.type === type && saysSo(entry, { error, because })),
    refusedRefresh: () =>
      refusedWhere(
        ({ type, data }) => type === 'token.refused' && data['grantType'] === 'refresh_token',
      ),
    silentAfter: (asked, waitMs) => {
      // A refusal says more than the silence after it.
      const isSilent = stage === asked && open.length === 0
      const isOver = lastOfFurthest !== undefined && now - lastOfFurthest.at >= waitMs
      return isSilent && isOver ? lastOfFurthest : undefined
    },
    failedCall: () =>
      stage === 'connected' ? undefined : entries.findLast(({ type }) => type === 'call.completed'),
    missedEverything: (waitMs) =>
      (stage === undefined || stage === 'challenged') && quietMs >= waitMs
        ? entries.findLast((entry) => entry.type === 'discovery.answered')
        : undefined,
    lastMissing: (path) =>
      entries.findLast(
        (entry) =>
          entry.type === 'discovery.answered' &&
          !isDocument(entry) &&
          (path === undefined || path.test(text(entry, 'document'))),
      ),
    slowest: (leastMs) =>
      entries
        .filter(({ data }) => Number(data['durationMs'] ?? 0) >= leastMs)
        .toSorted((one, other) => Number(one.data['durationMs']) - Number(other.data['durationMs']))
        .at(-1),
  }
}

/** May its next step still come? */
export function isOpen(
  { stage, quietMs }: Story,
  waits: { readonly programMs: number; readonly personMs: number },
): boolean {
  if (stage === 'connected') return false
  return quietMs < (stage === 'authorizing' ? waits.personMs : waits.programMs)
}

function stageOf(entry: StoryEntry): Stage | undefined {
  switch (entry.type) {
    case 'discovery.answered':
      return isDocument(entry) ? 'discovered' : undefined
    case 'client.registered':
    case 'client.registered_again':
      return 'registered'
    case 'authorization.started':
    case 'device.started':
      return 'authorizing'
    case 'grant.created':
      return 'approved'
    case 'token.issued':
    case 'token.refreshed':
      return 'token'
    case 'call.completed':
      return Number(entry.data['status']) < 400 ? 'connected' : undefined
    case 'call.refused':
      return isChallenge(entry) ? 'challenged' : undefined
    default:
      return undefined
  }
}

/** A refusal is made good by a later step of this rank or beyond. */
function refusalRank(entry: StoryEntry): number | undefined {
  const madeGoodBy = (stage: Stage) => stages.indexOf(stage)
  switch (entry.type) {
    case 'client.registration_refused':
      return madeGoodBy('registered')
    case 'authorization.refused':
      return madeGoodBy('authorizing')
    case 'authorization.failed':
    case 'consent.denied':
      return madeGoodBy('approved')
    case 'token.refused':
      return madeGoodBy('token')
    case 'call.refused':
      return isChallenge(entry) ? undefined : madeGoodBy('connected')
    default:
      return undefined
  }
}

/** A call without a token is how every client begins (RFC 9728 §5.1). */
function isChallenge({ data }: StoryEntry): boolean {
  return data['reason'] === 'authentication_required'
}

function isDocument({ type, data }: StoryEntry): boolean {
  return type === 'discovery.answered' && data['status'] === 200
}

function saysSo(
  entry: StoryEntry,
  asked: { readonly error: string | RegExp | undefined; readonly because: RegExp | undefined },
): boolean {
  const error = text(entry, 'error') || text(entry, 'reason')
  const isError =
    asked.error === undefined ||
    (typeof asked.error === 'string' ? asked.error === error : asked.error.test(error))
  return isError && (asked.because === undefined || asked.because.test(text(entry, 'because')))
}

function text({ data }: StoryEntry, name: string): string {
  const value = data[name]
  return typeof value === 'string' ? value : ''
}
