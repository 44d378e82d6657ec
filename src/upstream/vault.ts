// The token vault: one row for each connection, tokens sealed to their place, and a generation that counts every change.
// Who may refresh them, and when, is told by leases.ts; what to do with them is decided by flows.ts and refresh.ts.
import type { Clock } from '../base/clock.ts'
import { isFault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Random } from '../base/random.ts'
import type { Database } from '../store/database.ts'
import { ofRow, steadyQuery } from '../store/hot-query.ts'
import type { CredentialRow } from '../store/schema.ts'
import type { SharedTime } from '../store/time.ts'
import { change, noDoubt, noLease, noTokens, readBinding } from './held.ts'
import type { Binding, Held } from './held.ts'
import type { Holder, HolderKey } from './holder.ts'
import { createLeases } from './leases.ts'
import type { Leases } from './leases.ts'
import { aheadAtUseMs, aheadUnusedMs } from './refresh-time.ts'
import type { TokenSet } from './token-endpoint.ts'

export interface Vault extends Leases {
  /** Throws Fault('decrypt_failed') when the tokens were sealed under a key that is not here. */
  readonly read: (holder: Holder) => Promise<Held | undefined>
  /** The same without the tokens, which need not be readable. */
  readonly binding: (holder: Holder) => Promise<Binding | undefined>
  /** Keeps the tokens of a new sign-in, whatever was there before. */
  readonly keep: (tx: Database, holder: Holder, binding: Binding, tokens: TokenSet) => Promise<void>
  /** Keeps refreshed tokens, if nobody changed the row meanwhile. */
  readonly renew: (tx: Database, held: Held, tokens: TokenSet) => Promise<boolean>
  /** Empties dead tokens, if nobody changed the row meanwhile. */
  readonly empty: (tx: Database, held: Held) => Promise<boolean>
  /** Forgets everything; gives what was there, as far as it can be read. */
  readonly remove: (tx: Database, holder: Holder) => Promise<Held | undefined>
  /** Forgets these tokens, if nobody changed the row meanwhile. */
  readonly drop: (tx: Database, held: Held) => Promise<boolean>
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly time: SharedTime
  readonly random: Random
  readonly keyring: Keyring
}

// S1-51: what is assumed when the server doesn't say. Without a refresh token nothing is gained by assuming an end.
const lifetimeDefaultMs = 3_600_000

// Asked for every call that passes through.
const findOf = steadyQuery(
  (db, { tenantId, connectionId }: { readonly tenantId: string; readonly connectionId: string }) =>
    db
      .selectFrom('credentials')
      .selectAll()
      .where('tenant_id', '=', tenantId)
      .where('connection_id', '=', connectionId),
)

/** Makes the vault over one database. */
export function createVault(needs: Needs): Vault {
  const { db, clock } = needs
  const open = ofRow((row: CredentialRow) => toHeld(needs, row))
  const find = async ({ tenant, connectionId }: Holder) => {
    const [row] = await findOf(db, { tenantId: tenant.id, connectionId })
    return row
  }
  return {
    ...createLeases(needs),

    read: async (holder) => {
      const row = await find(holder)
      return row && open(row)
    },
    binding: async (holder) => {
      const row = await find(holder)
      return row && readBinding(row)
    },

    keep: (tx, holder, binding, tokens) => keep(needs, tx, { holder, binding, tokens }),

    renew: async (tx, held, tokens) => {
      const now = clock.now()
      const renewal = change(tx, held, {
        ...noLease,
        ...noDoubt,
        ...sealTokens(needs, held.key, tokens, held),
        ...timesOf(needs, tokens, { isRenewal: true, hasRefreshToken: true }),
        generation: held.generation + 1,
        last_refresh_at: now,
      }).set((row) => ({ refresh_count: row('refresh_count', '+', 1) }))
      return (await renewal.executeTakeFirst()) !== undefined
    },

    empty: async (tx, held) => {
      const set = { ...noLease, ...noDoubt, ...noTokens, expires_at: clock.now() }
      return (await change(tx, held, set).executeTakeFirst()) !== undefined
    },

    remove: async (tx, { tenant, connectionId }) => {
      const row = await tx
        .deleteFrom('credentials')
        .where('tenant_id', '=', tenant.id)
        .where('connection_id', '=', connectionId)
        .returningAll()
        .executeTakeFirst()
      return row && toReadable(needs, row)
    },

    drop: async (tx, { key, generation }) => {
      const dropped = await tx
        .deleteFrom('credentials')
        .where('tenant_id', '=', key.tenantId)
        .where('connection_id', '=', key.connectionId)
        .where('generation', '=', generation)
        .returning('generation')
        .executeTakeFirst()
      return dropped !== undefined
    },
  }
}

async function keep(
  needs: Needs,
  tx: Database,
  { holder, binding, tokens }: { holder: Holder; binding: Binding; tokens: TokenSet },
): Promise<void> {
  const key = { tenantId: holder.tenant.id, connectionId: holder.connectionId }
  const hasRefreshToken = tokens.refreshToken !== undefined || binding.grant !== undefined
  const facts = {
    ...noLease,
    ...noDoubt,
    binding: JSON.stringify(binding),
    ...sealTokens(needs, key, tokens, undefined),
    ...timesOf(needs, tokens, { isRenewal: false, hasRefreshToken }),
    last_refresh_at: null,
    refresh_count: 0,
  }
  const generation = firstGeneration(needs)
  await tx
    .insertInto('credentials')
    .values({ tenant_id: key.tenantId, connection_id: key.connectionId, generation, ...facts })
    .onConflict((conflict) =>
      conflict
        .columns(['tenant_id', 'connection_id'])
        .doUpdateSet((row) => ({ ...facts, generation: row('credentials.generation', '+', 1) })),
    )
    .execute()
}

/**
 * Where the generations of a new row begin: by chance, so that an answer that is still on its way for a row that was
 * taken away never fits the one that came after it.
 */
function firstGeneration({ random }: Needs): number {
  return Buffer.from(random.bytes(6)).readUIntBE(0, 6)
}

/** RFC 6749 §6: a server that sends no new refresh token lets the old one go on, and so with the scope. */
function sealTokens(
  { keyring }: Needs,
  key: HolderKey,
  tokens: TokenSet,
  before: Held | undefined,
) {
  const refreshToken = tokens.refreshToken ?? before?.refreshToken
  const { proofKey } = tokens
  return {
    proof_key_sealed:
      proofKey === undefined ? null : keyring.seal(proofKey, placeOf(key, 'proof_key_sealed')),
    access_token_sealed: keyring.seal(tokens.accessToken, placeOf(key, 'access_token_sealed')),
    refresh_token_sealed:
      refreshToken === undefined
        ? null
        : keyring.seal(refreshToken, placeOf(key, 'refresh_token_sealed')),
    token_type: tokens.tokenType,
    scope: tokens.scope ?? before?.scope ?? null,
  }
}

/** When the tokens end, and when they are refreshed though nobody uses them. */
function timesOf(
  { clock, random }: Needs,
  { expiresAt: said }: TokenSet,
  {
    isRenewal,
    hasRefreshToken,
  }: { readonly isRenewal: boolean; readonly hasRefreshToken: boolean },
) {
  const now = clock.now()
  const expiresAt = said ?? (hasRefreshToken ? now + lifetimeDefaultMs : undefined)
  const isDue = hasRefreshToken && expiresAt !== undefined
  const chance = Buffer.from(random.bytes(4)).readUInt32BE() / 2 ** 32
  return {
    obtained_at: now,
    expires_at: expiresAt ?? null,
    next_refresh_at: isDue
      ? expiresAt - aheadUnusedMs({ lifetimeMs: expiresAt - now, isRenewal }, chance)
      : null,
  }
}

// A row that cannot be opened any more can still be taken away.
function toReadable(needs: Needs, row: CredentialRow): Held | undefined {
  try {
    return toHeld(needs, row)
  } catch (thrown) {
    if (isFault(thrown) && thrown.code === 'decrypt_failed') return undefined
    throw thrown
  }
}

function toHeld({ keyring }: Needs, row: CredentialRow): Held {
  const key = { tenantId: row.tenant_id, connectionId: row.connection_id }
  const open = (sealed: string | null, column: SealedColumn) =>
    sealed === null || sealed === '' ? undefined : keyring.open(sealed, placeOf(key, column))
  return {
    key,
    binding: readBinding(row),
    generation: row.generation,
    accessToken: open(row.access_token_sealed, 'access_token_sealed'),
    tokenType: row.token_type,
    refreshToken: open(row.refresh_token_sealed, 'refresh_token_sealed'),
    proofKey: open(row.proof_key_sealed, 'proof_key_sealed'),
    scope: row.scope ?? undefined,
    expiresAt: row.expires_at ?? undefined,
    refreshAt: row.next_refresh_at ?? undefined,
    aheadAtUseMs: aheadAtUseMs({
      lifetimeMs: (row.expires_at ?? row.obtained_at) - row.obtained_at,
      isRenewal: row.refresh_count > 0,
    }),
    intentGeneration: row.intent_generation ?? undefined,
    doubt: row.doubt ?? undefined,
  }
}

type SealedColumn = 'access_token_sealed' | 'refresh_token_sealed' | 'proof_key_sealed'

function placeOf({ tenantId, connectionId }: HolderKey, column: SealedColumn) {
  return { tenant: tenantId, table: 'credentials', row: connectionId, column }
}
