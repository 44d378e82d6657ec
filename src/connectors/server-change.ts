// Changing a server. Whatever makes it another server to sign in at drops the tokens and registrations of the old one, so
// that no request to a new address ever carries an old token.
import { Fault } from '../base/fault.ts'
import { Secret } from '../base/secret.ts'
import { actorOf } from '../people/principal.ts'
import type { Principal } from '../people/principal.ts'
import type { Database } from '../store/database.ts'
import type { ServerRow } from '../store/schema.ts'
import { decideAuth } from './decide-auth.ts'
import type { Discovered } from './decide-auth.ts'
import { endFlows, endSignIns } from './end-sign-ins.ts'
import { accessColumn } from './server-access.ts'
import { grantInputOf, grantSettingsOf } from './server-grant.ts'
import { checkName, checkSlug, checkUrl } from './server-input.ts'
import { requireIntroduce } from './introduce.ts'
import { providerColumn, requireProvider } from './server-provider.ts'
import type { ServerAuth, ServerInput } from './server-input.ts'
import {
  cacheMinutesOf,
  keyColumns,
  plainColumns,
  sealedColumns,
  serverPlace,
  toolScopesColumn,
  toPublicServer,
} from './server-rows.ts'
import type { PublicServer, SealedColumn, ServerNeeds } from './server-rows.ts'
import { toolPolicyColumn } from './tool-scopes.ts'

/** Changes what the input names and leaves the rest. Throws Fault('invalid_input' | 'conflict') and what discovery throws. */
export async function changeServer(
  needs: ServerNeeds,
  principal: Principal,
  before: ServerRow,
  input: Partial<ServerInput>,
): Promise<PublicServer> {
  const url = input.url === undefined ? before.url : checkUrl(needs.outbound, input.url)
  const wanted = wantedInput(needs, before, { ...input, url })
  const isElsewhere = isAnotherSignIn(before, wanted)
  const discovered = isElsewhere ? await rediscover(needs, principal, wanted) : undefined
  const auth = discovered?.auth ?? wanted.auth
  requireIntroduce(needs.introduce, auth)
  const after: ServerRow = {
    ...before,
    ...sealedColumns(needs, { tenantId: before.tenant_id, id: before.id, auth }, wanted),
    ...keyColumns(needs, { tenantId: before.tenant_id, id: before.id }, wanted.clientKey),
    ...plainColumns(needs, wanted, { hasKey: hasKey(wanted) }),
    url,
    auth,
    provider_id: providerColumn(auth, wanted),
    transport: discovered?.transport ?? (url === before.url ? before.transport : null),
    tool_scopes:
      input.toolScopes === undefined
        ? before.tool_scopes
        : await toolScopesColumn(needs, principal.tenant, input.toolScopes),
    tool_policy:
      input.toolPolicy === undefined ? before.tool_policy : toolPolicyColumn(input.toolPolicy),
    may_use:
      input.mayUse === undefined
        ? before.may_use
        : await accessColumn(needs.db, principal.tenant, input.mayUse),
    name: input.name === undefined ? before.name : checkName(input.name),
    slug: input.slug === undefined ? before.slug : checkSlug(input.slug),
    token_format: input.tokenFormat ?? before.token_format,
    updated_at: needs.clock.now(),
  }
  const pinned = { ...after, issuer: pinnedIssuer(after, discovered) }
  await storeChange(needs, principal, { before, after: pinned, isElsewhere, input })
  if (isElsewhere) await needs.upstream.discover.forget(principal.tenant, before.url)
  return {
    ...toPublicServer(principal.tenant, pinned),
    ...(discovered === undefined ? {} : { discovered }),
  }
}

type WantedInput = ServerInput & { readonly auth: ServerAuth }

/** The server as it would be described anew: what is stored, with what was said laid over it. */
function wantedInput(
  { keyring }: ServerNeeds,
  row: ServerRow,
  input: Partial<ServerInput> & { readonly url: string },
): WantedInput {
  const { tenant_id: tenantId, id } = row
  const open = (sealed: string | null, column: SealedColumn) =>
    sealed === null ? undefined : keyring.open(sealed, serverPlace(tenantId, id, column)).reveal()
  const headers = open(row.headers_sealed, 'headers_sealed')
  const isSameUrl = input.url === row.url
  const isSameIssuer = (input.issuer ?? row.issuer) === row.issuer
  // A secret of the old address or issuer is not sent to a new one by itself: it has to be entered again.
  const kept = isSameUrl
    ? {
        headers:
          headers === undefined ? undefined : (JSON.parse(headers) as Record<string, string>), // sealedColumns() wrote it
        issuer: row.issuer ?? undefined,
        clientId: isSameIssuer ? (row.client_id ?? undefined) : undefined,
      }
    : {}
  const isSameClient =
    isSameUrl && isSameIssuer && (input.clientId ?? row.client_id) === row.client_id
  const proofs = isSameClient
    ? {
        clientSecret: open(row.client_secret_sealed, 'client_secret_sealed'),
        clientKey: open(row.client_key_sealed, 'client_key_sealed'),
      }
    : {}
  const auth = input.auth ?? (row.auth as ServerAuth) // only this room writes it
  const grant = isSameUrl ? grantInputOf({ keyring }, row) : {}
  const metadataCacheMinutes = cacheMinutesOf(row)
  const identityHeaders = row.identity_headers === 1
  // With another way in, the provider is left behind; who names one all the same is told.
  const providerId = auth === 'provider' ? (row.provider_id ?? undefined) : undefined
  const stored = {
    providerId,
    scopes: row.scopes ?? undefined,
    ...grant,
    metadataCacheMinutes,
    identityHeaders,
  }
  return { ...proofs, ...stored, ...kept, ...input, auth }
}

function isAnotherSignIn(row: ServerRow, wanted: WantedInput): boolean {
  return (
    wanted.url !== row.url ||
    wanted.auth !== row.auth ||
    (wanted.providerId ?? null) !== row.provider_id ||
    (wanted.grantType ?? 'authorization_code') !== row.grant_type ||
    isAnotherGrant(row, wanted) ||
    (wanted.issuer ?? null) !== row.issuer ||
    (wanted.clientId ?? null) !== row.client_id ||
    hasKey(wanted) !== (row.client_key_sealed !== null)
  )
}

function isAnotherGrant(row: ServerRow, { workloadToken, identityProvider }: WantedInput): boolean {
  const before = grantSettingsOf(row)
  const { issuer, tokenEndpoint, clientId } = identityProvider ?? {}
  const { identityProvider: known } = before
  return (
    workloadToken !== before.workloadToken ||
    issuer !== known?.issuer ||
    tokenEndpoint !== known?.tokenEndpoint ||
    clientId !== known?.clientId
  )
}

function hasKey({ clientKey = '' }: WantedInput): boolean {
  return clientKey !== ''
}

function rediscover(
  { upstream }: ServerNeeds,
  { tenant }: Principal,
  wanted: WantedInput,
): Promise<Discovered> {
  return decideAuth(upstream, { tenant, url: wanted.url, input: wanted })
}

// A client id is known to one issuer only; which one, as it spells itself, is fixed at the first look.
function pinnedIssuer(after: ServerRow, discovered: Discovered | undefined): string | null {
  if (after.issuer === null && after.client_id === null) return null
  return discovered?.issuer ?? after.issuer
}

async function storeChange(
  needs: ServerNeeds,
  principal: Principal,
  change: {
    readonly before: ServerRow
    readonly after: ServerRow
    readonly isElsewhere: boolean
    readonly input: Partial<ServerInput>
  },
): Promise<void> {
  const { before, after, isElsewhere, input } = change
  await needs.db.transaction().execute(async (tx) => {
    await requireProvider(tx, after)
    await requireFreeSlug(tx, after)
    const stored = await tx
      .updateTable('servers')
      .set(after)
      .where('tenant_id', '=', before.tenant_id)
      .where('id', '=', before.id)
      .where('url', '=', before.url)
      .where('updated_at', '=', before.updated_at)
      .returning('id')
      .executeTakeFirst()
    if (stored === undefined) throw overtaken()
    if (after.slug !== before.slug) {
      await needs.addressEnded(tx, principal.tenant, { slug: before.slug })
    }
    if (isElsewhere) {
      await needs.addressEnded(tx, principal.tenant, { url: before.url })
    }
    if (after.may_use !== before.may_use) await endOfOthers(needs, tx, principal, after)
    if (isElsewhere) await dropSignIns(needs, tx, after)
    else await changeProof(needs, tx, after, input)
    await needs.journal.record(tx, {
      tenantId: before.tenant_id,
      type: 'server.updated',
      actor: actorOf(principal),
      subject: { kind: 'server', id: before.id },
      data: { fields: Object.keys(input), droppedTokens: isElsewhere },
    })
  })
}

/**
 * Sign-ins that are under way begin again, so that no code is redeemed for somebody who may not use it any more. A server
 * that we are the authorization server of is called without us: its tokens end.
 */
async function endOfOthers(
  needs: ServerNeeds,
  tx: Database,
  { tenant }: Principal,
  row: ServerRow,
): Promise<void> {
  await endFlows(needs, tx, { tenant_id: row.tenant_id, server_id: row.id })
  if (row.issuer === tenant.issuer) await needs.addressEnded(tx, tenant, { url: row.url })
}

async function requireFreeSlug(tx: Database, { tenant_id, id, slug }: ServerRow): Promise<void> {
  const other = await tx
    .selectFrom('servers')
    .select('id')
    .where('tenant_id', '=', tenant_id)
    .where('slug', '=', slug)
    .where('id', '!=', id)
    .executeTakeFirst()
  if (other === undefined) return
  throw new Fault('conflict', {
    because: 'the slug is taken',
    detail: { slug: 'Another server has this slug. Choose another one.' },
  })
}

function overtaken(): Fault {
  return new Fault('conflict', {
    because: 'the server was changed or removed meanwhile',
    detail: { server: 'Somebody else changed this server meanwhile. Look at it again.' },
  })
}

async function dropSignIns(
  { upstream, clock }: ServerNeeds,
  tx: Database,
  { tenant_id, id }: ServerRow,
): Promise<void> {
  await endSignIns({ upstream }, tx, { tenant_id, server_id: id })
  await tx
    .updateTable('connections')
    .set({
      status: 'disconnected',
      status_reason: 'server_changed',
      last_error: null,
      updated_at: clock.now(),
    })
    .where('tenant_id', '=', tenant_id)
    .where('server_id', '=', id)
    .execute()
  await upstream.register.forgetServer(tx, tenant_id, id)
}

/** A new secret or key of the same client: whoever is signed in by it stays so. */
async function changeProof(
  { upstream, keyring }: ServerNeeds,
  tx: Database,
  { tenant_id: tenantId, id: serverId, client_id: clientId, client_key_sealed: sealed }: ServerRow,
  { clientSecret, clientKey }: Partial<ServerInput>,
): Promise<void> {
  if (clientId === null || (clientSecret ?? clientKey) === undefined) return
  const place = serverPlace(tenantId, serverId, 'client_key_sealed')
  await upstream.register.changeProof(
    tx,
    { tenantId, serverId, clientId },
    {
      clientSecret: clientSecret === undefined ? undefined : new Secret(clientSecret),
      clientKey:
        clientKey === undefined || sealed === null ? undefined : keyring.open(sealed, place),
    },
  )
}
