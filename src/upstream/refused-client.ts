// A client that is refused while somebody signs in. A provider that says so once may be wrong (doubts.ts), and a stranger's
// code may be why; so a client that refresh tokens hang on is not forgotten for it: one of them asks instead, and the
// refresh engine judges what comes of that.
import type { Clock } from '../base/clock.ts'
import type { Database } from '../store/database.ts'
import { noTokens, readBinding } from './held.ts'
import type { Register, RegistrationKey } from './register.ts'

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly register: Pick<Register, 'forget'>
}

// Those of an older client that is gone lose their tokens with their next refresh, so that they are few.
const holdersLookedAtMax = 100

/** Forgets the client, if nobody hangs on it; else lets the first refresh with it be due now. */
export async function doubtClient(needs: Needs, client: RegistrationKey): Promise<void> {
  const connectionId = await holderOf(needs, client)
  if (connectionId === undefined) return needs.register.forget(client)
  await needs.db
    .updateTable('credentials')
    .set({ next_refresh_at: needs.clock.now() })
    .where('tenant_id', '=', client.tenantId)
    .where('connection_id', '=', connectionId)
    .where('next_refresh_at', '>', needs.clock.now())
    .execute()
}

async function holderOf(
  { db }: Needs,
  { tenantId, serverId, issuer, clientId }: RegistrationKey,
): Promise<string | undefined> {
  const rows = await db
    .selectFrom('credentials')
    .select(['connection_id', 'binding'])
    .where('tenant_id', '=', tenantId)
    .where('binding', 'like', `%"serverId":"${serverId}"%`) // ids of ours need no escaping
    .where('access_token_sealed', '!=', noTokens.access_token_sealed)
    .where('refresh_token_sealed', 'is not', null)
    .orderBy('next_refresh_at')
    .limit(holdersLookedAtMax)
    .execute()
  return rows.find((row) => {
    const binding = readBinding(row)
    return binding.issuer === issuer && binding.clientId === clientId
  })?.connection_id
}
