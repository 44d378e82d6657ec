// Ending what an operator found: an access token, a client secret or an API key ends alone; a refresh token or a code ends
// its grant. It holds on the very next request, and the journal says that an operator did it.
import { Fault } from '../base/fault.ts'
import type { Secret } from '../base/secret.ts'
import type { Journal } from '../journal/entries.ts'
import { findApiKeyRow } from '../people/api-key-administration.ts'
import { endApiKey } from '../people/api-keys.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import { endGrant } from './grants.ts'
import { endAccessToken } from './revocation.ts'
import { inspectToken } from './token-inspection.ts'
import type { InspectedToken, InspectionNeeds } from './token-inspection.ts'

/** An operator's hand on single tokens. */
export interface TokenAdministration {
  /** Undefined for a text that is no secret of this tenant. */
  readonly inspect: (tenant: Tenant, secret: Secret) => Promise<InspectedToken | undefined>
  /** Ends what the secret is good for; `ended` is false when it had ended before. Undefined for what is none of ours. */
  readonly end: (tenant: Tenant, secret: Secret) => Promise<EndedToken | undefined>
  /** Ends a grant with all its tokens. Throws Fault('not_found') for one that is not there. */
  readonly endGrant: (tenant: Tenant, id: string) => Promise<{ readonly ended: boolean }>
}

export interface EndedToken {
  readonly token: InspectedToken
  readonly ended: boolean
}

interface Needs extends InspectionNeeds {
  readonly journal: Journal
}

const actor = { kind: 'operator' } as const

/** Makes the administration of all tenants' tokens over one database. */
export function createTokenAdministration(needs: Needs): TokenAdministration {
  const { db } = needs
  return {
    inspect: (tenant, secret) => inspectToken(needs, tenant, secret),
    end: async (tenant, secret) => {
      const token = await inspectToken(needs, tenant, secret)
      if (token === undefined) return undefined
      const ended = await db
        .transaction()
        .execute((tx) => endOne({ ...needs, tx }, tenant, { token, secret }))
      return { token, ended }
    },
    endGrant: async (tenant, id) => {
      await requireGrant(db, tenant, id)
      const ended = await db
        .transaction()
        .execute((tx) =>
          endGrant({ ...needs, tx }, tenant, { grantId: id, reason: 'operator', actor }),
        )
      return { ended }
    },
  }
}

async function requireGrant(db: Database, tenant: Tenant, id: string): Promise<void> {
  const found = /^grt_\w{1,64}$/.test(id)
    ? await db
        .selectFrom('grants')
        .select('id')
        .where('tenant_id', '=', tenant.id)
        .where('id', '=', id)
        .executeTakeFirst()
    : undefined
  if (found === undefined) throw new Fault('not_found', { because: 'no such grant' })
}

interface Found {
  readonly token: InspectedToken
  readonly secret: Secret
}

async function endOne(
  needs: Needs & { readonly tx: Database },
  tenant: Tenant,
  { token, secret }: Found,
): Promise<boolean> {
  const { tx, keyring } = needs
  switch (token.kind) {
    case 'access_token': {
      const digests = keyring.digests('access_token', secret)
      return endAccessToken(needs, tenant, { digests, actor })
    }
    case 'refresh_token':
    case 'code': {
      const grantId = token.grantId ?? ''
      return endGrant(needs, tenant, { grantId, reason: 'operator', actor })
    }
    case 'client_secret':
      return endClientSecret(needs, tenant, { token, secret })
    case 'api_key': {
      const row = await findApiKeyRow({ db: tx, keyring }, tenant, secret)
      if (row === undefined) return false
      return (await endApiKey(needs, tenant, { id: row.id, actor })) !== undefined
    }
  }
}

async function endClientSecret(
  { tx, keyring, journal }: Needs & { readonly tx: Database },
  tenant: Tenant,
  { token, secret }: Found,
): Promise<boolean> {
  const id = token.client?.id ?? ''
  const { numDeletedRows } = await tx
    .deleteFrom('client_secrets')
    .where('tenant_id', '=', tenant.id)
    .where('client_id', '=', id)
    .where('secret_digest', 'in', keyring.digests('client_secret', secret))
    .executeTakeFirstOrThrow()
  if (numDeletedRows === 0n) return false
  await journal.record(tx, {
    tenantId: tenant.id,
    type: 'client.secret_revoked',
    actor,
    subject: { kind: 'client', id },
  })
  return true
}
