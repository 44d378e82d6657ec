// Many connections out of one that somebody signed in for: each with tokens of its own, as that many sign-ins would leave
// them, in a hundredth of the time.
import { randomId, systemRandom } from '../../src/base/random.ts'
import { Secret } from '../../src/base/secret.ts'
import type { Database } from '../../src/store/database.ts'
import type { Vault } from '../../src/upstream/vault.ts'
import type { FaultProvider } from '../fakes/fault-provider.ts'

export interface Sample {
  readonly db: Database
  readonly vault: Vault
  readonly provider: Pick<FaultProvider, 'grant'>
  /** The connection that is copied. */
  readonly id: string
  readonly now: number
}

const lifetimeMs = 3_600_000

/** Gives the ids of the copies. */
export async function copyConnections(
  { db, vault, provider, id: sampleId, now }: Sample,
  count: number,
): Promise<readonly string[]> {
  const row = await db
    .selectFrom('connections')
    .selectAll()
    .where('id', '=', sampleId)
    .executeTakeFirstOrThrow()
  const tenant = { id: row.tenant_id }
  const binding = await vault.binding({ tenant, connectionId: sampleId })
  if (binding === undefined) throw new Error('the sample is not signed in')
  const ids: string[] = []
  await db.transaction().execute(async (tx) => {
    for (const { accessToken, refreshToken } of provider.grant(count)) {
      const id = randomId(systemRandom, 'con_')
      ids.push(id)
      const copy = { ...row, id, label: id }
      await tx.insertInto('connections').values(copy).execute()
      await vault.keep(tx, { tenant, connectionId: id }, binding, {
        accessToken: new Secret(accessToken),
        refreshToken: new Secret(refreshToken),
        tokenType: 'Bearer',
        scope: 'mcp',
        expiresAt: now + lifetimeMs,
      })
    }
  })
  return ids
}
