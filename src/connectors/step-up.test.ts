// A server that wants more scope than a connection holds: what is remembered of it, what is asked for then, and when it is
// asked for no more (MCP authorization, "Step-Up Authorization Flow").
import assert from 'node:assert/strict'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import type { TestContext } from 'node:test'
import type { Store } from '../store/database.ts'
import { begin, bring, contextOf, signedIn, signIn } from './bench.rig.ts'

async function setUp(t: TestContext, store: Store) {
  const started = await signedIn(t, store)
  const { bench, ada, server, id, provider } = started
  const known = (await bench.servers.byId(bench.tenant, server.id))!
  const used = async () => {
    const credential = await bench.credentials.credentialFor(known, ada.session)
    assert.ok(credential.kind === 'bearer')
    return credential
  }
  const refused = async (operation: string, scope = 'write') =>
    bench.credentials.noteInsufficientScope(await used(), bench.tenant, { operation, scope })
  const worked = async (operation: string) =>
    bench.credentials.noteSufficientScope(await used(), bench.tenant, operation)
  const grant = async (...scopes: string[]) => {
    provider.set({ scopes })
    assert.equal((await signIn(bench, ada, id)).kind, 'completed')
  }
  const seen = () => bench.connections.get(ada.session, id)
  const asked = async () =>
    new URL((await begin(bench, ada, id)).authorizeUrl).searchParams.get('scope')
  return { ...started, used, refused, worked, grant, seen, asked }
}

onEveryDatabase(
  'what a server asked for on top is asked for with the next sign-in',
  async (t, store) => {
    verifies(t, 'C20', 'C21', 'S1-57')
    const { refused, seen, asked, grant, used, worked, bench, ada, id } = await setUp(t, store)
    assert.deepEqual(await bench.connections.authorize(ada.session, id), {
      alreadyAuthorized: true,
    })
    assert.equal((await refused('tools/call save')).kind, 'sign_in')
    await refused('tools/call share', 'share write')

    const lacking = await seen()
    assert.deepEqual(
      [lacking.status, lacking.statusReason, lacking.authorized, lacking.missingScopes],
      ['connected', 'scope_insufficient', true, ['write', 'share']],
    )
    assert.match(lacking.statusWords ?? '', /Sign in again/)
    assert.equal(await asked(), 'mcp write share')
    await bench.connections.refresh(ada.session, id)
    assert.equal((await seen()).statusReason, 'scope_insufficient', 'a refresh brings no scope')

    await grant('mcp', 'write', 'share')
    assert.deepEqual(
      [(await seen()).statusReason, (await seen()).missingScopes],
      [undefined, undefined],
    )
    assert.equal((await used()).isSteppingUp, true)
    await worked('tools/call save')
    assert.equal((await used()).isSteppingUp, true, 'the other one was not tried yet')
    await worked('tools/call share')
    assert.equal((await used()).isSteppingUp, undefined)
  },
)

onEveryDatabase('three sign-ins for one operation, then it is said plainly', async (t, store) => {
  verifies(t, 'C21')
  const { refused, grant, worked, seen } = await setUp(t, store)
  const kinds = async (operation: string) => (await refused(operation)).kind
  const fifty = await Promise.all(Array.from({ length: 50 }, () => kinds('tools/call save')))
  assert.deepEqual(new Set(fifty), new Set(['sign_in']), 'fifty refusals of one sign-in are one')
  await grant('mcp')
  assert.equal(await kinds('tools/call save'), 'sign_in')
  await grant('mcp')
  const over = await refused('tools/call save')
  assert.deepEqual(over, { kind: 'over', scopes: ['write'] })
  assert.equal(await kinds('tools/call share'), 'sign_in', 'each operation is counted by itself')
  assert.match((await seen()).lastError ?? '', /write/)

  await worked('tools/call save')
  assert.equal(await kinds('tools/call save'), 'sign_in', 'a success begins anew')
})

onEveryDatabase('a scope that the provider does not know locks nobody out', async (t, store) => {
  verifies(t, 'C21')
  const { refused, asked, bench, ada, id, server, provider } = await setUp(t, store)
  const context = await contextOf(bench, server.id)
  const fail = async () => {
    const { authorizeUrl } = await begin(bench, ada, id)
    const { searchParams } = new URL(authorizeUrl)
    const state = searchParams.get('state') ?? ''
    const query = new URLSearchParams({
      state,
      error: 'invalid_scope',
      iss: provider.issuer,
    })
    assert.equal((await bring(bench, ada, { context, query })).kind, 'failed')
    return searchParams.get('scope')
  }
  await refused('tools/call save')
  assert.equal(await fail(), 'mcp write')
  const { authorizeUrl } = await begin(bench, ada, id, { again: true })
  assert.equal(new URL(authorizeUrl).searchParams.get('scope'), 'mcp', 'not by itself once more')
  assert.equal((await refused('tools/call save')).kind, 'sign_in')
  assert.equal(await asked(), 'mcp write')
  await fail()
  assert.equal((await refused('tools/call save')).kind, 'over')
})

onEveryDatabase(
  'what a server calls its operations and scopes is kept within bounds',
  async (t, store) => {
    const { refused, seen, id } = await setUp(t, store)
    for (const scope of ['', 'a"b', '\0', 'x'.repeat(2000)]) await refused('tools/call save', scope)
    assert.equal((await seen()).missingScopes, undefined)
    for (let index = 0; index < 120; index += 1)
      await refused(`tools/call tool${index}`, `s${index}`)
    const rows = await store.db
      .selectFrom('step_ups')
      .selectAll()
      .where('connection_id', '=', id)
      .execute()
    assert.ok(rows.length <= 101, `${rows.length} rows`)
    assert.ok(((await seen()).missingScopes ?? []).length <= 50)
  },
)
