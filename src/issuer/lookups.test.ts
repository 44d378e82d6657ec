// Every statement that the authorization server runs from registration to revocation, shown to the database's own planner:
// none of them looks through a whole table.
import assert from 'node:assert/strict'
import { CompiledQuery, sql } from 'kysely'
import type { KyselyPlugin, RootOperationNode } from 'kysely'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { Secret } from '../base/secret.ts'
import type { Store } from '../store/database.ts'
import {
  codeForm,
  createRig,
  form,
  isGood,
  obtainCode,
  obtainTokens,
  refreshForm,
  refused,
  register,
  tokens,
} from './issuer.rig.ts'
import type { Rig } from './issuer.rig.ts'

onEveryDatabase('every lookup has an index', async (t, store) => {
  verifies(t, 'S3-7')
  const recorded = record(store)
  await runEverything(await createRig(t, { ...store, db: recorded.db }))
  const statements = recorded.statements()
  for (const table of ['clients', 'codes', 'access_tokens', 'refresh_tokens', 'grants']) {
    assert.ok(
      statements.some((one) => one.sql.includes(`"${table}"`)),
      `${table} was looked at`,
    )
  }
  const scans = await Promise.all(
    statements.map(async (one) => ((await isScan(store, one)) ? one.sql : undefined)),
  )
  assert.deepEqual(
    scans.filter((one) => one !== undefined),
    [],
  )
  assert.equal(
    await isScan(store, CompiledQuery.raw('select * from codes where redirect_uri = $1', ['x'])),
    true,
    'a lookup without an index would be seen',
  )
})

async function runEverything(rig: Rig): Promise<void> {
  const { issuer, tenant, clock } = rig
  const session = await rig.signIn()
  const client = await register(rig, { token_endpoint_auth_method: 'client_secret_post' })
  const secret = { client_id: client.id, client_secret: client.secret }
  const code = await obtainCode(rig, session, client)
  const { access, refresh } = await tokens(rig, codeForm(client, code))
  await isGood(rig, access)
  await issuer.introspect(tenant, form({ ...secret, token: access }))
  await tokens(rig, refreshForm(client, refresh))
  await tokens(rig, refreshForm(client, refresh))
  for (const token of [access, refresh, code, client.secret ?? '', 'lk_nobody']) {
    await issuer.tokens.inspect(tenant, new Secret(token))
  }
  await issuer.revoke(tenant, form({ ...secret, token: access }))
  await issuer.revoke(tenant, form({ ...secret, token: refresh }))
  await refused(issuer.token(tenant, codeForm(client, code)), 'invalid_grant')
  await obtainTokens(rig, session, client)
  const {
    items: [grant],
  } = await issuer.grants.list(session)
  await issuer.grants.revoke(session, grant?.id ?? '')
  await issuer.clients.rotateSecret({ tenant }, client.id)
  await issuer.clients.update({ tenant }, client.id, { disabled: true })
  await issuer.clients.remove({ tenant }, client.id)
  await issuer.sweep(clock.now())
  await issuer.signingKeys.rotateDue()
}

/** A database that remembers which statements were built over it. */
function record({ db }: Store) {
  const nodes: RootOperationNode[] = []
  const plugin: KyselyPlugin = {
    transformQuery: ({ node }) => {
      nodes.push(node)
      return node
    },
    transformResult: async ({ result }) => result,
  }
  const statements = (): readonly CompiledQuery[] => {
    const compiled = nodes
      .filter(({ kind }) => !['InsertQueryNode', 'RawNode'].includes(kind))
      .map((node) => db.getExecutor().compileQuery(node, { queryId: 'explain' }))
    return [...new Map(compiled.map((one) => [one.sql, one])).values()]
  }
  return { db: db.withPlugin(plugin), statements }
}

async function isScan({ db, engine }: Store, statement: CompiledQuery): Promise<boolean> {
  if (engine === 'sqlite') {
    const text = statement.sql.replaceAll(/\$\d+/g, '?')
    const explain = CompiledQuery.raw(`explain query plan ${text}`, valuesOf(statement))
    const { rows } = await db.executeQuery<{ readonly detail: string }>(explain)
    return rows.some(({ detail }) => /^SCAN (?!CONSTANT)/.test(detail))
  }
  return db.transaction().execute(async (tx) => {
    // A small table is read whole, because that is quicker; what has no index is read whole even now.
    await sql`set local enable_seqscan = off`.execute(tx)
    const explain = CompiledQuery.raw(`explain ${statement.sql}`, valuesOf(statement))
    const { rows } = await tx.executeQuery<Readonly<Record<string, string>>>(explain)
    return rows.some((row) => row['QUERY PLAN']?.includes('Seq Scan') === true)
  })
}

/** A statement that is built once has marks where its values go, which Postgres does not take; `1` is a text and a number. */
function valuesOf({ parameters }: CompiledQuery): unknown[] {
  return parameters.map((value) =>
    typeof value === 'string' && value.includes('\0') ? '1' : value,
  )
}
