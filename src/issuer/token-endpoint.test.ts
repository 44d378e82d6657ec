import assert from 'node:assert/strict'
import { mismatchedRedirectUris } from '../oauth/redirect-uri.corpus.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import {
  codeForm,
  createMachine,
  createRig,
  createTwins,
  form,
  isGood,
  machineForm,
  obtainCode,
  obtainTokens,
  redirectUri,
  refreshForm,
  refused,
  register,
  tokens,
  verifier,
} from './issuer.rig.ts'

const secondMs = 1000
const hourMs = 3600 * secondMs

onEveryDatabase(
  'a code is exchanged for tokens that are stored as digests only',
  async (t, store) => {
    verifies(t, 'S3-13', 'S3-19', 'S3-21', 'S3-22', 'S3-43')
    const rig = await createRig(t, store)
    const session = await rig.signIn()
    const client = await register(rig, { token_endpoint_auth_method: 'client_secret_post' })
    const code = await obtainCode(rig, session, client)
    const { access, refresh, body } = await tokens(rig, codeForm(client, code))

    assert.match(access, /^mcp_at_[\w-]{43}$/)
    assert.match(refresh, /^mcp_rt_[\w-]{43}$/)
    assert.deepEqual(body, {
      access_token: access,
      token_type: 'Bearer',
      expires_in: 3600,
      refresh_token: refresh,
      scope: 'mcp',
    })
    const stored = JSON.stringify([
      await rig.db.selectFrom('access_tokens').selectAll().execute(),
      await rig.db.selectFrom('refresh_tokens').selectAll().execute(),
      await rig.db.selectFrom('codes').selectAll().execute(),
      await rig.db.selectFrom('client_secrets').selectAll().execute(),
      await rig.db.selectFrom('journal_entries').selectAll().execute(),
    ])
    for (const secret of [code, access, refresh, client.secret ?? '']) {
      assert.ok(secret.length > 40 && !stored.includes(secret))
    }
    assert.ok((await rig.journalTypes()).includes('token.issued'))
  },
)

onEveryDatabase('a code lives for sixty seconds', async (t, store) => {
  verifies(t, 'S3-22', 'S3-24')
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const client = await register(rig)
  const [inTime, late] = [
    await obtainCode(rig, session, client),
    await obtainCode(rig, session, client),
  ]
  await rig.clock.advance(60 * secondMs - 1)
  assert.ok((await tokens(rig, codeForm(client, inTime))).access)
  await rig.clock.advance(1)
  await refused(tokens(rig, codeForm(client, late)), 'invalid_grant')
})

onEveryDatabase(
  'a code is bound to client, redirect URI, verifier and resource, and a refusal does not spend it: rows 23, 24; P-02, P-102, X-03',
  async (t, store) => {
    verifies(t, 'S3-22', 'S3-23', 'S3-45', 'A12', 'A13')
    const rig = await createRig(t, store)
    const session = await rig.signIn()
    const [client, other] = [await register(rig), await register(rig, { client_name: 'Other' })]
    const code = await obtainCode(rig, session, client)
    const redeem = (changes: Record<string, string | undefined>) =>
      tokens(rig, codeForm(client, code, changes))

    await refused(tokens(rig, codeForm(other, code)), 'invalid_grant')
    await refused(redeem({ code: `${code}x` }), 'invalid_grant')
    await refused(redeem({ code: 'auth_nothing' }), 'invalid_grant')
    await refused(redeem({ code: undefined }), 'invalid_request')
    await refused(redeem({ code_verifier: undefined }), 'invalid_grant')
    await refused(redeem({ code_verifier: 'w'.repeat(64) }), 'invalid_grant')
    await refused(redeem({ code_verifier: 'v' }), 'invalid_grant')
    for (const uri of mismatchedRedirectUris.filter((uri) => uri !== '')) {
      await refused(redeem({ redirect_uri: uri }), 'invalid_grant')
    }
    await refused(redeem({ resource: 'https://auth.test/notes/mcp' }), 'invalid_target')
    await refused(redeem({ resource: 'nonsense' }), 'invalid_target')
    await refused(redeem({ scope: 'mcp memories:read' }), 'invalid_scope')

    const { access } = await redeem({ resource: 'https://AUTH.test/mcp', redirect_uri: undefined })
    assert.equal(await isGood(rig, access), true, 'the code was still good')
  },
)

onEveryDatabase(
  'a code that comes back ends everything it gave: row 25; P-06, X-04',
  async (t, store) => {
    verifies(t, 'S3-22', 'S3-24')
    const rig = await createRig(t, store)
    const session = await rig.signIn()
    const [client, other] = [await register(rig), await register(rig, { client_name: 'Other' })]

    for (const laterMs of [0, 30 * secondMs, 2 * hourMs]) {
      const code = await obtainCode(rig, session, client)
      const { access, refresh } = await tokens(rig, codeForm(client, code))
      // Neither another client nor a code that only looks alike may end the grant.
      await refused(tokens(rig, codeForm(other, code)), 'invalid_grant')
      await refused(tokens(rig, codeForm(client, `${code}x`)), 'invalid_grant')
      assert.equal(await isGood(rig, access), true)

      await rig.clock.advance(laterMs)
      await refused(tokens(rig, codeForm(client, code)), 'invalid_grant')
      assert.equal(await isGood(rig, access), false)
      await refused(tokens(rig, refreshForm(client, refresh)), 'invalid_grant')
    }
    const types = await rig.journalTypes()
    assert.equal(types.filter((type) => type === 'token.reuse_detected').length, 3)
    assert.equal(types.filter((type) => type === 'grant.revoked').length, 3)
  },
)

onEveryDatabase(
  'fifty exchanges of one code at once, in two processes, have one winner: X-05',
  async (t, store, openAnother) => {
    verifies(t, 'S3-22', 'S3-42')
    const [rig, other] = await createTwins(t, store, openAnother)
    const session = await rig.signIn()
    const client = await register(rig)
    const code = await obtainCode(rig, session, client)
    const attempts = Array.from({ length: 50 }, (_, index) =>
      tokens(index % 2 === 0 ? rig : other, codeForm(client, code)),
    )
    const outcomes = await Promise.allSettled(attempts)
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') continue
      await refused(Promise.reject(outcome.reason), 'invalid_grant')
    }
    const stored = await rig.db.selectFrom('access_tokens').select('token_digest').execute()
    assert.equal(stored.length, 1)
  },
)

onEveryDatabase(
  'a request that is not a good form is refused before anything else: rows 17, 18, 28; P-105',
  async (t, store) => {
    verifies(t, 'S3-23', 'S3-51')
    const rig = await createRig(t, store)
    const session = await rig.signIn()
    const client = await register(rig, { grant_types: ['authorization_code'] })
    const code = await obtainCode(rig, session, client)
    const good = codeForm(client, code)
    const post = (changes: object) => rig.issuer.token(rig.tenant, { ...good, ...changes })

    for (const contentType of [
      undefined,
      '',
      'application/json',
      'multipart/form-data; boundary=x',
      'application/x-www-form-urlencoded, application/json',
      'application/x-www-form-urlencoded; charset=utf-16',
    ]) {
      await refused(post({ contentType }), 'invalid_request')
    }
    await refused(post({ body: `${good.body}&code=${code}` }), 'invalid_request')
    await refused(post({ body: `${good.body}&client_id=${client.id}` }), 'invalid_request')
    await refused(tokens(rig, codeForm(client, code, { grant_type: undefined })), 'invalid_request')
    for (const grant_type of ['password', 'implicit', 'toString']) {
      const request = codeForm(client, code, { grant_type })
      await refused(tokens(rig, request), 'unsupported_grant_type')
    }
    await refused(tokens(rig, refreshForm(client, 'mcp_rt_x')), 'unauthorized_client')

    const twice = `${good.body}&resource=https%3A%2F%2Fauth.test%2Fmcp&resource=https%3A%2F%2Fauth.test%2Fmcp`
    const contentType = 'application/x-www-form-urlencoded; charset=UTF-8'
    const answer = await post({ body: twice, contentType })
    assert.ok('body' in answer && !('refresh_token' in answer.body), 'it did not ask to refresh')
  },
)

onEveryDatabase('one kind of secret is never taken for another: P-103', async (t, store) => {
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const client = await register(rig)
  const code = await obtainCode(rig, session, client)
  const { access, refresh } = await obtainTokens(rig, session, client)
  for (const secret of [access, refresh]) {
    await refused(tokens(rig, codeForm(client, secret)), 'invalid_grant')
  }
  for (const secret of [access, code]) {
    await refused(tokens(rig, refreshForm(client, secret)), 'invalid_grant')
  }
  for (const secret of [code, refresh]) assert.equal(await isGood(rig, secret), false)
  assert.ok((await tokens(rig, codeForm(client, code))).access)
})

onEveryDatabase('a person who is disabled meanwhile gets no tokens: P-109', async (t, store) => {
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const client = await register(rig)
  const { refresh, access } = await obtainTokens(rig, session, client)
  const code = await obtainCode(rig, session, client)
  await rig.db.updateTable('users').set({ disabled_at: rig.clock.now() }).execute()
  await refused(tokens(rig, codeForm(client, code)), 'invalid_grant')
  await refused(tokens(rig, refreshForm(client, refresh)), 'invalid_grant')
  assert.equal(await isGood(rig, access), false)
})

onEveryDatabase('a client that is disabled meanwhile gets no tokens', async (t, store) => {
  verifies(t, 'S3-42')
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const client = await register(rig)
  const { refresh, access } = await obtainTokens(rig, session, client)
  const code = await obtainCode(rig, session, client)
  await rig.db.updateTable('clients').set({ disabled_at: rig.clock.now() }).execute()
  await refused(tokens(rig, codeForm(client, code)), 'invalid_client')
  await refused(tokens(rig, refreshForm(client, refresh)), 'invalid_client')
  assert.equal(await isGood(rig, access), false)
})

onEveryDatabase(
  'a client proves itself as it is registered to, and in no other way: rows 19 to 22; P-10, P-122',
  async (t, store) => {
    verifies(t, 'S3-22', 'S3-23')
    const rig = await createRig(t, store)
    const session = await rig.signIn()
    const basic = await register(rig, { token_endpoint_auth_method: 'client_secret_basic' })
    const post = await register(rig, { token_endpoint_auth_method: 'client_secret_post' })
    const open = await register(rig)
    const code = await obtainCode(rig, session, basic)
    const fields = { grant_type: 'authorization_code', code, code_verifier: verifier.reveal() }
    const ask = (changes: Record<string, string | undefined>, authorization?: string) =>
      tokens(rig, form({ ...fields, ...changes }, authorization))
    const header = basicHeader(basic.id, basic.secret ?? '')

    const wrongHeaders = [
      'Basic',
      'Basic !!!',
      'Basic =',
      `Basic ${btoa('nocolon')}`,
      `Basic ${btoa(`:${basic.secret}`)}`,
      `Basic ${btoa(`${basic.id}:%zz`)}`,
      `Basic ${Buffer.from([0xff, 0x3a, 0xfe]).toString('base64')}`,
      `Basic ${btoa(`${basic.id}:${basic.secret}`).replaceAll('=', '')} x`,
      `Bearer ${basic.secret}`,
      '',
      basicHeader(basic.id, `${basic.secret}x`),
      basicHeader(basic.id, ''),
      basicHeader(`${basic.id}x`, basic.secret ?? ''),
      basicHeader('mcp_oauth_\0', 'x'),
      basicHeader(post.id, post.secret ?? ''),
      basicHeader(open.id, 'x'),
    ]
    for (const wrong of wrongHeaders) await refused(ask({}, wrong), 'invalid_client')

    await refused(ask({}), 'invalid_client')
    await refused(ask({ client_id: 'nobody' }), 'invalid_client')
    await refused(ask({ client_id: basic.id }), 'invalid_client')
    await refused(ask({ client_id: post.id }), 'invalid_client')
    await refused(ask({ client_id: open.id, client_secret: 'x' }), 'invalid_client')
    await refused(ask({ client_id: post.id, client_secret: `${post.secret}x` }), 'invalid_client')
    await refused(ask({ client_id: basic.id, client_secret: basic.secret }), 'invalid_client')
    await refused(ask({ client_id: basic.id, client_assertion: 'x.y.z' }), 'invalid_client')

    await refused(ask({ client_secret: basic.secret }, header), 'invalid_request')
    await refused(ask({ client_assertion: 'x.y.z' }, header), 'invalid_request')
    await refused(ask({ client_secret: 'x', client_assertion: 'x.y.z' }), 'invalid_request')
    await refused(ask({ client_id: post.id }, header), 'invalid_request')

    const encoded = `basic  ${btoa(`${basic.id.replace('_', '%5F')}:${basic.secret}`)}`
    assert.ok((await ask({ client_id: basic.id, redirect_uri: redirectUri }, encoded)).access)
  },
)

onEveryDatabase('a client secret is good until its end, and two may be alive', async (t, store) => {
  const rig = await createRig(t, store)
  const client = await register(rig, { token_endpoint_auth_method: 'client_secret_post' })
  const session = await rig.signIn()
  const { refresh } = await obtainTokens(rig, session, client)
  const expires_at = rig.clock.now() + hourMs
  await rig.db.updateTable('client_secrets').set({ expires_at }).execute()
  const next = { id: client.id, secret: 'mcp_cs_next' }
  await rig.db
    .insertInto('client_secrets')
    .values({
      tenant_id: rig.tenant.id,
      client_id: client.id,
      secret_digest: rig.keyring.digest('client_secret', next.secret),
      created_at: rig.clock.now(),
      expires_at: null,
    })
    .execute()
  await rig.clock.set(expires_at - 1)
  const second = await tokens(rig, refreshForm(client, refresh))
  await rig.clock.set(expires_at)
  await refused(tokens(rig, refreshForm(client, second.refresh)), 'invalid_client')
  assert.ok((await tokens(rig, refreshForm(next, second.refresh))).access)
})

function basicHeader(id: string, secret: string): string {
  return `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64')}`
}

onEveryDatabase(
  'a client made by hand may send its secret either way, one that registered only as it said',
  async (t, store) => {
    verifies(t, 'S3-19')
    const rig = await createRig(t, store)
    const pasted = await createMachine(rig, { authMethod: 'client_secret_basic' })
    assert.ok((await tokens(rig, machineForm(pasted))).access)
    const basic = Buffer.from(`${pasted.id}:${pasted.secret}`).toString('base64')
    const inHeader = form({ grant_type: 'client_credentials' }, `Basic ${basic}`)
    assert.ok((await tokens(rig, inHeader)).access)
    await refused(tokens(rig, machineForm({ ...pasted, secret: 'wrong' })), 'invalid_client')
    await refused(tokens(rig, machineForm({ id: pasted.id, secret: undefined })), 'invalid_client')

    const registered = await register(rig, { token_endpoint_auth_method: 'client_secret_basic' })
    const code = await obtainCode(rig, await rig.signIn(), registered)
    await refused(tokens(rig, codeForm(registered, code)), 'invalid_client')
  },
)
