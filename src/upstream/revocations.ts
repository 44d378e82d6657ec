// Tokens that we have forgotten and their provider has not yet (RFC 7009). What is to be revoked is written down by the
// transaction that forgets it, so that no crash leaves a token behind, and it is asked for a bounded number of times:
// nobody waits for a provider that is down, and no token is kept for ever.
import type { Clock } from '../base/clock.ts'
import { isFault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Log } from '../base/log.ts'
import { randomId } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import { Secret } from '../base/secret.ts'
import type { Journal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import type { UpstreamRevocationRow } from '../store/schema.ts'
import type { Register, Registration } from './register.ts'
import type { TokenEndpoint, TokenHint, TokenSet } from './token-endpoint.ts'
import type { Binding, Held } from './held.ts'
import type { HolderKey } from './holder.ts'

export interface Revocations {
  /** Writes down what to revoke, inside the transaction that takes the tokens and before it forgets the registration. */
  readonly add: (tx: Database, held: Held | undefined) => Promise<void>
  /** Takes care that tokens that arrived for nobody do not live on at the provider. */
  readonly giveBack: (from: GivenBack, tokens: TokenSet) => Promise<void>
  /** Asks for nothing more of this connection: who signed in again could lose the new tokens with the old ones. */
  readonly cancel: (tx: Database, connection: HolderKey) => Promise<void>
  /** Asks the providers for what is due, of all tenants; says how much that was. */
  readonly sendDue: () => Promise<number>
  /** Asks for what one connection has just left behind; gives up waiting, not asking, after a moment. */
  readonly sendSoon: (connection: HolderKey) => Promise<void>
}

/** Where tokens came from, and whose they would have been. */
export interface GivenBack {
  readonly key: HolderKey
  readonly binding: Binding
  readonly registration: Registration
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
  readonly log: Log
  readonly register: Pick<Register, 'find'>
  readonly tokenEndpoint: Pick<TokenEndpoint, 'revokeToken'>
}

/** What is sealed: one token, and where and as whom it is revoked. */
interface Request {
  readonly token: Secret
  readonly hint: TokenHint
  readonly revocationEndpoint: string
  readonly registration: Registration
}

const minuteMs = 60_000
/** How long to wait after each try that came to nothing; six tries in about nine hours. */
const pausesMs = [1, 5, 30, 120, 360].map((minutes) => minutes * minuteMs)
/** Longer than any call takes: whoever has begun a try is left alone for so long. */
const tryMs = minuteMs
const soonMs = 2_000
const dueLimit = 100
const atOnce = 8

/** Makes the revocations of all tenants over one database. */
export function createRevocations(needs: Needs): Revocations {
  return {
    add: (tx, held) => add(needs, tx, held),
    giveBack: (from, tokens) => giveBack(needs, from, tokens),

    cancel: async (tx, { tenantId, connectionId }) => {
      await tx
        .deleteFrom('upstream_revocations')
        .where('tenant_id', '=', tenantId)
        .where('connection_id', '=', connectionId)
        .execute()
    },

    sendDue: async () => sendAll(needs, await due(needs).execute()),
    sendSoon: (connection) => sendSoon(needs, connection),
  }
}

async function sendSoon(needs: Needs, { tenantId, connectionId }: HolderKey): Promise<void> {
  const ofConnection = due(needs)
    .where('tenant_id', '=', tenantId)
    .where('connection_id', '=', connectionId)
  const sent = sendAll(needs, await ofConnection.execute())
  const waiting = new AbortController()
  const enough = needs.clock.sleep(soonMs, waiting.signal).catch(() => {}) // Aborted: it was sent in time.
  await Promise.race([sent.finally(() => waiting.abort()), enough])
}

async function add(needs: Needs, tx: Database, held: Held | undefined): Promise<void> {
  if (held === undefined || held.binding.revocationEndpoint === undefined) return
  const { key, binding } = held
  const registration = await needs.register.find({ ...binding, tenantId: key.tenantId }, tx)
  if (registration === undefined) return
  const rows = requestsFor({ key, binding, registration }, held).map((request) =>
    toRow(needs, held, request),
  )
  if (rows.length > 0) await tx.insertInto('upstream_revocations').values(rows).execute()
}

async function giveBack(needs: Needs, from: GivenBack, tokens: TokenSet): Promise<void> {
  const requests = requestsFor(from, tokens)
  if (requests.length === 0) return
  try {
    const rows = requests.map((request) => toRow(needs, from, request))
    await needs.db.insertInto('upstream_revocations').values(rows).execute()
  } catch (cause) {
    // Perhaps nothing can be written, which is why they are given back.
    needs.log.warn({ cause }, 'what is to be revoked could not be written down')
    const ask = ({ token, hint, ...place }: Request) =>
      needs.tokenEndpoint.revokeToken(place, { token, hint })
    await Promise.all(requests.map(ask))
    return
  }
  await sendSoon(needs, from.key)
}

function requestsFor(
  { binding: { revocationEndpoint }, registration }: GivenBack,
  { refreshToken, accessToken }: Partial<Pick<Held, 'refreshToken' | 'accessToken'>>,
): readonly Request[] {
  if (revocationEndpoint === undefined) return []
  // RFC 7009 §2.1: the refresh token ends what came from it; where that is not so, the access token is ended as well.
  const tokens = [
    { token: refreshToken, hint: 'refresh_token' },
    { token: accessToken, hint: 'access_token' },
  ] as const
  return tokens.flatMap(({ token, hint }) =>
    token === undefined ? [] : [{ token, hint, revocationEndpoint, registration }],
  )
}

function toRow(
  { keyring, clock, random }: Needs,
  { key, binding }: Pick<Held, 'key' | 'binding'>,
  request: Request,
): UpstreamRevocationRow {
  const place = { tenant_id: key.tenantId, id: randomId(random, 'rvk_') }
  const { token, registration } = request
  const { clientSecret, clientKey, ...client } = registration
  const proofs = { clientSecret: clientSecret?.reveal(), clientKey: clientKey?.reveal() }
  // Sealed in the next statement.
  const plain = { ...request, token: token.reveal(), registration: { ...client, ...proofs } }
  return {
    ...place,
    connection_id: key.connectionId,
    user_id: binding.userId ?? null,
    issuer: binding.issuer,
    request_sealed: keyring.seal(new Secret(JSON.stringify(plain)), placeOf(place)),
    tries: 0,
    next_try_at: clock.now(),
    created_at: clock.now(),
  }
}

function readRequest({ keyring }: Needs, row: UpstreamRevocationRow): Request {
  const text = keyring.open(row.request_sealed, placeOf(row)).reveal()
  const plain = JSON.parse(text) as PlainRequest // only toRow() writes it
  const { clientSecret, clientKey, ...client } = plain.registration
  return {
    ...plain,
    token: new Secret(plain.token),
    registration: {
      ...client,
      ...(clientSecret === undefined ? {} : { clientSecret: new Secret(clientSecret) }),
      ...(clientKey === undefined ? {} : { clientKey: new Secret(clientKey) }),
    },
  }
}

type PlainRequest = Omit<Request, 'token' | 'registration'> & {
  readonly token: string
  readonly registration: Omit<Registration, 'clientSecret' | 'clientKey'> & {
    readonly clientSecret?: string
    readonly clientKey?: string
  }
}

type Place = Pick<UpstreamRevocationRow, 'tenant_id' | 'id'>

function placeOf({ tenant_id: tenant, id: row }: Place) {
  return { tenant, table: 'upstream_revocations', row, column: 'request_sealed' }
}

function due({ db, clock }: Needs) {
  return db
    .selectFrom('upstream_revocations')
    .selectAll()
    .where('next_try_at', '<=', clock.now())
    .orderBy('next_try_at')
    .limit(dueLimit)
}

async function sendAll(needs: Needs, rows: readonly UpstreamRevocationRow[]): Promise<number> {
  let sent = 0
  const sendQuietly = async (row: UpstreamRevocationRow) => {
    try {
      if (await sendOne(needs, row)) sent += 1
    } catch (cause) {
      // It stays written down, and comes round again.
      needs.log.error({ connectionId: row.connection_id, cause }, 'a token could not be revoked')
    }
  }
  for (let at = 0; at < rows.length; at += atOnce) {
    await Promise.all(rows.slice(at, at + atOnce).map(sendQuietly))
  }
  return sent
}

/** Says whether it was ours to send: another process may have been first. */
async function sendOne(needs: Needs, row: UpstreamRevocationRow): Promise<boolean> {
  const begun = await beginTry(needs, row)
  if (begun === undefined) return false
  const answer = await ask(needs, begun)
  if (answer === 'trouble') await tryLater(needs, begun)
  else await forget(needs.db, begun)
  needs.log.info({ connectionId: row.connection_id, answer }, 'a provider was asked to revoke')
  return true
}

/** The try is counted before the first byte leaves, so that a process that dies in it cannot try for ever. */
function beginTry(
  { db, clock }: Needs,
  row: UpstreamRevocationRow,
): Promise<UpstreamRevocationRow | undefined> {
  return db
    .updateTable('upstream_revocations')
    .set({ tries: row.tries + 1, next_try_at: clock.now() + tryMs })
    .where('tenant_id', '=', row.tenant_id)
    .where('id', '=', row.id)
    .where('tries', '=', row.tries)
    .where('next_try_at', '<=', clock.now())
    .returningAll()
    .executeTakeFirst()
}

async function ask(needs: Needs, row: UpstreamRevocationRow) {
  try {
    const { token, hint, ...place } = readRequest(needs, row)
    return await needs.tokenEndpoint.revokeToken(place, { token, hint })
  } catch (thrown) {
    if (isFault(thrown) && thrown.code === 'decrypt_failed') return 'trouble' // Another process may have the key.
    throw thrown
  }
}

async function tryLater(needs: Needs, row: UpstreamRevocationRow): Promise<void> {
  const pauseMs = pausesMs[row.tries - 1]
  if (pauseMs === undefined) return giveUp(needs, row)
  await needs.db
    .updateTable('upstream_revocations')
    .set({ next_try_at: needs.clock.now() + pauseMs })
    .where('tenant_id', '=', row.tenant_id)
    .where('id', '=', row.id)
    .where('tries', '=', row.tries)
    .execute()
}

async function giveUp({ db, journal }: Needs, row: UpstreamRevocationRow): Promise<void> {
  await db.transaction().execute(async (tx) => {
    if (!(await forget(tx, row))) return
    await journal.record(tx, {
      tenantId: row.tenant_id,
      type: 'connection.revocation_failed',
      actor: { kind: 'system' },
      ...(row.user_id === null ? {} : { userId: row.user_id }),
      subject: { kind: 'connection', id: row.connection_id },
      data: { issuer: row.issuer },
    })
  })
}

async function forget(db: Database, row: UpstreamRevocationRow): Promise<boolean> {
  const gone = await db
    .deleteFrom('upstream_revocations')
    .where('tenant_id', '=', row.tenant_id)
    .where('id', '=', row.id)
    .where('tries', '=', row.tries)
    .returning('id')
    .executeTakeFirst()
  return gone !== undefined
}
