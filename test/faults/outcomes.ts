// What became of a connection, seen through the doors: it works, or it says that it does not, or it was lost in silence.
import type { RestAnswer, Setting } from './setting.ts'

export type Standing =
  /** Its token is taken by the provider, and it can be refreshed. */
  | { readonly kind: 'alive' }
  /** It asks for a new sign-in, with this reason, and the journal says the same. */
  | { readonly kind: 'told'; readonly reason: string }
  /** Neither. */
  | { readonly kind: 'silent'; readonly details: string }

/** Looks, and refreshes it once more to see that the refresh token is good. */
export async function standingOf(setting: Setting, id: string): Promise<Standing> {
  const { provider, rest } = setting
  const refreshed = await rest('POST', `/connections/${id}/refresh`)
  const given = await rest('POST', `/connections/${id}/token`)
  const isLive = given.status === 200 && provider.isLive(given.body.accessToken)
  if (refreshed.status === 200 && isLive) return { kind: 'alive' }
  const shown = await rest('GET', `/connections/${id}`)
  const { status, statusReason: reason } = shown.body
  const entries = await failuresOf(setting, id)
  if (status === 'reauth_required' && entries.includes(reason)) return { kind: 'told', reason }
  const details = [refreshed, given, shown].map(describe).join('\n')
  return { kind: 'silent', details: `${id}: ${details}\njournal: ${entries.join(' ')}` }
}

/** The reasons for which the journal says that a new sign-in is needed. */
async function failuresOf({ db }: Setting, id: string): Promise<readonly string[]> {
  const entries = await db
    .selectFrom('journal_entries')
    .select('data')
    .where('type', '=', 'connection.refresh_failed')
    .where('subject_id', '=', id)
    .execute()
  return entries
    .map(({ data }) => JSON.parse(data) as { reason: string; requiresReauthorization: boolean }) // refresh.ts writes it
    .filter(({ requiresReauthorization }) => requiresReauthorization)
    .map(({ reason }) => reason)
}

function describe({ status, body }: RestAnswer): string {
  const { accessToken: _secret, ...rest } = body ?? {}
  return `${status} ${JSON.stringify(rest)}`
}

/** How many refreshes were sent and have no outcome yet. */
export async function openRefreshes({ db }: Setting): Promise<number> {
  const rows = await db
    .selectFrom('credentials')
    .select('connection_id')
    .where('intent_generation', 'is not', null)
    .execute()
  return rows.length
}
