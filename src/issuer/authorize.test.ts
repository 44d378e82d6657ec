import assert from 'node:assert/strict'
import { Secret } from '../base/secret.ts'
import { loopbackRedirectUris, mismatchedRedirectUris } from '../oauth/redirect-uri.corpus.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import {
  approve,
  askConsent,
  authorizeQuery,
  beginByHand,
  createRig,
  locationOf,
  obtainCode,
  redirectUri,
  refused,
  register,
} from './issuer.rig.ts'
import type { Rig, RigClient } from './issuer.rig.ts'

const minuteMs = 60_000

onEveryDatabase(
  'a person signs in, agrees, and the client gets a code with its own state',
  async (t, store) => {
    verifies(t, 'S3-14', 'S3-15', 'S3-16', 'S3-25', 'S3-26', 'S3-27', 'S3-13')
    const rig = await createRig(t, store)
    const { issuer, tenant } = rig
    const client = await register(rig)
    const state = 'a b+c&d=é/?#%'

    const begun = await issuer.authorize.begin(tenant, authorizeQuery(client, { state }), undefined)
    assert.equal(begun.step.kind, 'sign_in')
    assert.ok(begun.step.kind === 'sign_in' && begun.browser !== undefined)
    const { requestId } = begun.step

    const session = await rig.signIn()
    const step = await issuer.authorize.resume(tenant, requestId, begun.browser, session)
    assert.ok(step.kind === 'consent')
    assert.deepEqual(step.view, {
      clientName: 'Tester',
      clientId: client.id,
      redirectHost: 'app.test',
      redirectUri,
      isLoopbackOnly: false,
      standing: { kind: 'unknown' },
      serverName: 'All of it',
      resource: 'https://auth.test/mcp',
      scopes: [{ name: 'mcp', words: "Use this server's tools for you", icon: '🔧' }],
      userEmail: 'ada@example.test',
    })

    const again = await issuer.authorize.resume(tenant, requestId, begun.browser, session)
    assert.deepEqual(again, step, 'a consent page may be loaded twice')

    const answered = await issuer.authorize.decide(tenant, requestId, begun.browser, session, {
      decision: 'approve',
      formToken: step.formToken,
    })
    const location = locationOf(answered)
    assert.ok(location.href.startsWith(`${redirectUri}?code=auth_`))
    assert.equal(location.searchParams.get('state'), state)
    assert.equal(location.searchParams.get('iss'), tenant.issuer)
    assert.deepEqual(await rig.journalTypes(), [
      'client.registered',
      'authorization.started',
      'user.created',
      'user.signed_in',
      'consent.given',
      'grant.created',
    ])
  },
)

onEveryDatabase(
  'scope and state may be left out; the resource’s own scopes are asked for',
  async (t, store) => {
    verifies(t, 'S3-14')
    const rig = await createRig(t, store)
    const session = await rig.signIn()
    const client = await register(rig)
    for (const [resource, scopes] of [
      [`${rig.tenant.issuer}/mcp`, ['mcp']],
      [`${rig.tenant.issuer}/notes/mcp`, ['mcp']],
    ] as const) {
      const query = authorizeQuery(client, { scope: undefined, state: undefined, resource })
      const { step } = await askConsent(rig, session, query)
      assert.deepEqual(
        step.view.scopes.map(({ name }) => name),
        scopes,
      )
      const location = await approve(rig, session, query)
      assert.match(location.searchParams.get('code') ?? '', /^auth_/)
      assert.equal(location.searchParams.has('state'), false, 'none came, none goes back')
    }
  },
)

onEveryDatabase('a person who says no sends an error back, once', async (t, store) => {
  verifies(t, 'S3-27', 'S3-28')
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const { step, browser } = await askConsent(rig, session, authorizeQuery(await register(rig)))
  const form = { decision: 'deny', formToken: step.formToken }
  const deny = () => rig.issuer.authorize.decide(rig.tenant, step.requestId, browser, session, form)

  const { searchParams } = locationOf(await deny())
  assert.equal(searchParams.get('error'), 'access_denied')
  assert.equal(searchParams.get('error_description'), 'User denied authorization')
  assert.equal(searchParams.get('state'), 'state-1')
  assert.equal(searchParams.get('iss'), rig.tenant.issuer)
  await refused(deny(), 'gone')
  assert.equal(await rowsOf(rig, 'grants'), 0)
  assert.ok((await rig.journalTypes()).includes('consent.denied'))
})

onEveryDatabase(
  'without a proven redirect URI nothing redirects: rows 1, 2, 10; P-01, P-03, P-05, X-01, X-02',
  async (t, store) => {
    verifies(t, 'S3-15', 'S3-17', 'S3-18')
    const rig = await createRig(t, store)
    const client = await register(rig)
    const session = await rig.signIn()
    await obtainCode(rig, session, client)
    const local = (changes: Record<string, string | undefined>, query = new URLSearchParams()) => {
      const asked = authorizeQuery(client, changes)
      for (const [name, value] of query) asked.append(name, value)
      return rig.issuer.authorize.begin(rig.tenant, asked, undefined, session)
    }
    const before = await rowsOf(rig, 'authorization_requests')

    for (const client_id of ['mcp_oauth_nobody', 'mcp_oauth_\0', 'x'.repeat(3000), 'https://']) {
      await refused(local({ client_id }), 'invalid_client')
    }
    await refused(local({ client_id: undefined }), 'invalid_request')
    await refused(local({}, new URLSearchParams({ client_id: client.id })), 'invalid_request')
    await refused(local({}, new URLSearchParams({ redirect_uri: redirectUri })), 'invalid_request')

    const evils = mismatchedRedirectUris.filter((uri) => uri !== '')
    // Whatever else is wrong with the request, the wrong address is what counts.
    const alsoWrong = [{}, { response_type: 'token' }, { scope: 'nonsense' }, { prompt: 'none' }]
    for (const [index, evil] of evils.entries()) {
      const also = alsoWrong[index % alsoWrong.length]
      await refused(local({ redirect_uri: evil, ...also }), 'invalid_redirect_uri')
    }
    assert.equal(await rowsOf(rig, 'authorization_requests'), before)
    assert.equal(await rowsOf(rig, 'codes'), 1)
  },
)

onEveryDatabase('loopback redirect URIs may have any port, and nothing else', async (t, store) => {
  verifies(t, 'S3-18')
  const rig = await createRig(t, store)
  for (const { registered, accept, reject } of loopbackRedirectUris) {
    const client = await register(rig, { redirect_uris: [registered] })
    const begin = (redirect_uri: string) =>
      rig.issuer.authorize.begin(rig.tenant, authorizeQuery(client, { redirect_uri }), undefined)
    for (const uri of accept) assert.equal((await begin(uri)).step.kind, 'sign_in', uri)
    for (const uri of reject) await refused(begin(uri), 'invalid_redirect_uri')
  }
})

onEveryDatabase('an only redirect URI may be left out, one of two may not', async (t, store) => {
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const one = await register(rig)
  const two = await register(rig, { redirect_uris: [redirectUri, `${redirectUri}/2`] })
  const location = await approve(rig, session, authorizeQuery(one, { redirect_uri: undefined }))
  assert.equal(location.origin + location.pathname, redirectUri)
  const query = authorizeQuery(two, { redirect_uri: undefined })
  await refused(rig.issuer.authorize.begin(rig.tenant, query, undefined), 'invalid_redirect_uri')
})

onEveryDatabase(
  'behind a proven redirect URI every refusal goes back with state and iss: rows 3 to 11 and 13; X-02, X-07, P-10',
  async (t, store) => {
    verifies(t, 'S3-14', 'S3-17', 'S3-45', 'A9', 'A12', 'A13')
    const rig = await createRig(t, store)
    const client = await register(rig, { redirect_uris: [`${redirectUri}?fixed=1`] })
    const cases: readonly (readonly [Record<string, string | undefined>, string])[] = [
      [{ response_type: undefined }, 'invalid_request'],
      [{ response_type: 'token' }, 'unsupported_response_type'],
      [{ response_type: 'code token' }, 'unsupported_response_type'],
      [{ response_mode: 'fragment' }, 'invalid_request'],
      [{ code_challenge: undefined }, 'invalid_request'],
      [{ code_challenge_method: undefined }, 'invalid_request'],
      [{ code_challenge_method: 'plain' }, 'invalid_request'],
      [{ code_challenge_method: 'S512' }, 'invalid_request'],
      [{ code_challenge: 'a'.repeat(42) }, 'invalid_request'],
      [{ code_challenge: 'a'.repeat(44) }, 'invalid_request'],
      [{ code_challenge: `${'a'.repeat(42)}=` }, 'invalid_request'],
      [{ scope: 'nonsense' }, 'invalid_scope'],
      [{ scope: 'mcp "' }, 'invalid_scope'],
      [{ scope: 'MCP' }, 'invalid_scope'],
      [{ scope: 'memories:read' }, 'invalid_scope'],
      [{ resource: 'https://auth.test/nobody/mcp' }, 'invalid_target'],
      [{ resource: '/mcp' }, 'invalid_target'],
      [{ resource: 'https://auth.test/mcp#f' }, 'invalid_target'],
      [{ resource: 'https://evil.test/mcp' }, 'invalid_target'],
      [{ request: 'e30' }, 'request_not_supported'],
      [{ request_uri: 'https://app.test/r' }, 'request_uri_not_supported'],
      [{ prompt: 'none' }, 'login_required'],
      [{ prompt: 'none login' }, 'invalid_request'],
      [{ prompt: 'nonsense' }, 'invalid_request'],
    ]
    for (const [changes, error] of cases) {
      const query = authorizeQuery(client, { redirect_uri: `${redirectUri}?fixed=1`, ...changes })
      await sentBack(rig, query, error)
    }
    for (const [name, value] of [
      ['scope', 'mcp'],
      ['state', 'state-1'],
      ['code_challenge', 'x'],
    ] as const) {
      const query = authorizeQuery(client, { redirect_uri: `${redirectUri}?fixed=1` })
      query.append(name, value)
      query.append(name, value)
      await sentBack(rig, query, 'invalid_request')
    }
    assert.equal(await rowsOf(rig, 'codes'), 0)
  },
)

async function sentBack(rig: Rig, query: URLSearchParams, error: string): Promise<void> {
  const { step } = await rig.issuer.authorize.begin(rig.tenant, query, undefined)
  const { href, searchParams } = locationOf(step)
  assert.ok(href.startsWith(`${redirectUri}?fixed=1&error=`), href)
  assert.equal(searchParams.get('error'), error, query.toString())
  assert.equal(searchParams.get('state'), 'state-1')
  assert.equal(searchParams.get('iss'), rig.tenant.issuer)
  assert.match(searchParams.get('error_description') ?? '', /^[\x20-\x21\x23-\x5B\x5D-\x7E]+$/)
}

onEveryDatabase('a state that cannot be given back unchanged is refused', async (t, store) => {
  const rig = await createRig(t, store)
  const client = await register(rig)
  for (const state of ['a\0b', 'a\r\nb', 'x'.repeat(4097)]) {
    const { step } = await rig.issuer.authorize.begin(
      rig.tenant,
      authorizeQuery(client, { state }),
      undefined,
    )
    const { searchParams } = locationOf(step)
    assert.equal(searchParams.get('error'), 'invalid_request')
    assert.equal(searchParams.has('state'), false)
  }
  const query = authorizeQuery(client, { state: 'x'.repeat(4096) })
  const { step } = await rig.issuer.authorize.begin(rig.tenant, query, undefined)
  assert.equal(step.kind, 'sign_in')
})

onEveryDatabase('a request waits for ten minutes and no longer', async (t, store) => {
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const { step, browser } = await askConsent(rig, session, authorizeQuery(await register(rig)))
  const resume = () => rig.issuer.authorize.resume(rig.tenant, step.requestId, browser, session)
  await rig.clock.advance(10 * minuteMs - 1)
  assert.equal((await resume()).kind, 'consent')
  await rig.clock.advance(1)
  await refused(resume(), 'authorization_timeout')
  const form = { decision: 'approve', formToken: step.formToken }
  const decide = rig.issuer.authorize.decide(rig.tenant, step.requestId, browser, session, form)
  await refused(decide, 'authorization_timeout')
})

onEveryDatabase(
  'a request belongs to the browser that began it and a form to one request and session: row 14, P-04',
  async (t, store) => {
    const rig = await createRig(t, store)
    const [ada, eve] = [await rig.signIn('ada'), await rig.signIn('eve')]
    const adaElsewhere = await rig.signIn('ada')
    const client = await register(rig)
    const asked = await askConsent(rig, ada, authorizeQuery(client))
    const other = await askConsent(rig, ada, authorizeQuery(client))
    const { requestId, formToken } = asked.step
    const { resume, decide } = rig.issuer.authorize
    const stranger = new Secret('another browser')
    const form = { decision: 'approve', formToken }

    for (const browser of [undefined, stranger, other.browser]) {
      await refused(resume(rig.tenant, requestId, browser, ada), 'forbidden')
      await refused(decide(rig.tenant, requestId, browser, ada, form), 'bad_form')
    }
    const tampered = [
      decide(rig.tenant, requestId, asked.browser, eve, form),
      decide(rig.tenant, requestId, asked.browser, adaElsewhere, form),
      decide(rig.tenant, requestId, asked.browser, ada, { ...form, formToken: '' }),
      decide(rig.tenant, requestId, asked.browser, ada, {
        ...form,
        formToken: other.step.formToken,
      }),
      decide(rig.tenant, requestId, asked.browser, ada, { ...form, decision: 'yes' }),
      decide(rig.tenant, requestId, asked.browser, ada, {
        ...form,
        scopes: ['mcp', 'memories:read'],
      }),
    ]
    await Promise.all(tampered.map((attempt) => refused(attempt, 'bad_form')))
    const signedOut = await decide(rig.tenant, requestId, asked.browser, undefined, form)
    assert.deepEqual(signedOut, { kind: 'sign_in', requestId })
    for (const unknown of ['', 'req_nobody', 'req_\0', `${requestId}x`]) {
      await refused(resume(rig.tenant, unknown, asked.browser, ada), 'gone')
    }
    const nothing = { ...form, scopes: [] }
    const asksAgain = await decide(rig.tenant, requestId, asked.browser, ada, nothing)
    assert.ok(asksAgain.kind === 'consent' && asksAgain.problem === 'nothing_ticked')
    const answered = await decide(rig.tenant, requestId, asked.browser, ada, form)
    assert.ok(locationOf(answered).searchParams.has('code'), 'the attempts changed nothing')
  },
)

onEveryDatabase('fifty approvals at once give one code', async (t, store) => {
  verifies(t, 'S3-42')
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const { step, browser } = await askConsent(rig, session, authorizeQuery(await register(rig)))
  const form = { decision: 'approve', formToken: step.formToken }
  const attempts = Array.from({ length: 50 }, () =>
    rig.issuer.authorize.decide(rig.tenant, step.requestId, browser, session, form),
  )
  const outcomes = await Promise.allSettled(attempts)
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') await refused(Promise.reject(outcome.reason), 'gone')
  }
  assert.equal(await rowsOf(rig, 'codes'), 1)
  assert.equal(await rowsOf(rig, 'grants'), 1)
})

onEveryDatabase(
  'what a person agreed to is not asked twice; anything else is: X-34',
  async (t, store) => {
    const rig = await createRig(t, store)
    const session = await rig.signIn()
    const client = await register(rig)
    const memories = { resource: 'https://auth.test/memories/mcp' }
    const isAsked = async (changes: Record<string, string>, by = session) => {
      const query = authorizeQuery(client, changes)
      const { step } = await beginByHand(rig, query, by)
      return step.kind === 'consent'
    }
    await approve(rig, session, authorizeQuery(client, { ...memories, scope: 'mcp' }))

    assert.equal(await isAsked({ ...memories, scope: 'mcp' }), false, 'the same')
    assert.equal(
      await isAsked({ ...memories, scope: 'mcp', prompt: 'consent' }),
      true,
      'asked to ask',
    )
    assert.equal(await isAsked({ ...memories, scope: 'memories:read' }), true, 'another scope')
    assert.equal(await isAsked({ ...memories }), true, 'more scopes')
    assert.equal(await isAsked({ scope: 'mcp' }), true, 'another resource')
    assert.equal(
      await isAsked({ ...memories, scope: 'mcp' }, await rig.signIn('eve')),
      true,
      'another person',
    )

    await approve(rig, session, authorizeQuery(client, { ...memories, scope: 'memories:read' }))
    assert.equal(
      await isAsked({ ...memories, scope: 'mcp memories:read' }),
      false,
      'both were given',
    )

    await rig.db.updateTable('clients').set({ metadata_digest: 'changed' }).execute()
    assert.equal(await isAsked({ ...memories, scope: 'mcp' }), true, 'the client changed')
  },
)

onEveryDatabase('a person who leaves out a scope gives only the rest', async (t, store) => {
  verifies(t, 'S3-32')
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const client = await register(rig)
  const query = authorizeQuery(client, { resource: 'https://auth.test/memories/mcp' })
  await approve(rig, session, query, ['mcp', 'memories:read'])
  const [grant] = (await rig.issuer.grants.list(session)).items
  assert.deepEqual(grant?.scopes, ['mcp', 'memories:read'])
  const { step } = await rig.issuer.authorize.begin(rig.tenant, query, undefined, session)
  assert.equal(step.kind, 'consent', 'the rest is asked for again')
})

onEveryDatabase(
  'what a person gave before and leaves out now is forgotten, and nothing else is',
  async (t, store) => {
    verifies(t, 'A3-4')
    const rig = await createRig(t, store)
    const session = await rig.signIn()
    const client = await register(rig)
    const asking = (scope: string) =>
      authorizeQuery(client, { resource: 'https://auth.test/memories/mcp', scope })
    const isAsked = async (scope: string) => {
      const { step } = await beginByHand(rig, asking(scope), session)
      return step.kind === 'consent'
    }
    await approve(rig, session, asking('mcp memories:read memories:write'))
    assert.equal(await isAsked('memories:write'), false)
    await approve(rig, session, asking('memories:read memories:write'), ['memories:read'])
    assert.equal(await isAsked('mcp memories:read'), false)
    assert.equal(await isAsked('memories:write'), true)
  },
)

onEveryDatabase(
  'a client that any local program could pretend to be is always asked about',
  async (t, store) => {
    const rig = await createRig(t, store)
    const session = await rig.signIn()
    const isAskedAgain = async (client: RigClient, redirect_uri: string) => {
      await approve(rig, session, authorizeQuery(client, { redirect_uri }))
      const query = authorizeQuery(client, { redirect_uri })
      const { step } = await beginByHand(rig, query, session)
      return step.kind === 'consent'
    }
    for (const uri of ['http://127.0.0.1:3000/cb', 'http://localhost/cb', 'cursor://app/cb']) {
      const isPublic = await register(rig, { redirect_uris: [uri] })
      assert.equal(await isAskedAgain(isPublic, uri), true, uri)
      const isConfidential = await register(rig, {
        redirect_uris: [uri],
        token_endpoint_auth_method: 'client_secret_basic',
      })
      assert.equal(await isAskedAgain(isConfidential, uri), false, uri)
    }
  },
)

onEveryDatabase('prompt=none never shows a page: row 11', async (t, store) => {
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const client = await register(rig)
  const silent = async (by = session, changes = {}) => {
    const query = authorizeQuery(client, { prompt: 'none', ...changes })
    const { step } = await beginByHand(rig, query, by)
    return locationOf(step).searchParams
  }
  assert.equal((await silent()).get('error'), 'consent_required')
  await approve(rig, session, authorizeQuery(client))
  assert.ok((await silent()).has('code'))
  assert.equal((await silent(await rig.signIn('eve'))).get('error'), 'consent_required')
})

onEveryDatabase(
  'prompt=login asks for a sign-in that is younger than the request',
  async (t, store) => {
    const rig = await createRig(t, store)
    const client = await register(rig)
    const before = await rig.signIn()
    await approve(rig, before, authorizeQuery(client))
    await rig.clock.advance(1000)
    const query = authorizeQuery(client, { prompt: 'login' })
    const { step, browser } = await beginByHand(rig, query, before)
    assert.ok(step.kind === 'sign_in')
    const resume = (by: typeof before) =>
      rig.issuer.authorize.resume(rig.tenant, step.requestId, browser, by)
    assert.equal((await resume(before)).kind, 'sign_in')
    await rig.clock.advance(1)
    assert.ok(locationOf(await resume(await rig.signIn())).searchParams.has('code'))
  },
)

onEveryDatabase('a client that is disabled meanwhile gets no code: P-109', async (t, store) => {
  verifies(t, 'S3-17', 'S3-42')
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const client = await register(rig)
  const { step, browser } = await askConsent(rig, session, authorizeQuery(client))
  await rig.db.updateTable('clients').set({ disabled_at: rig.clock.now() }).execute()
  const form = { decision: 'approve', formToken: step.formToken }
  const answered = await rig.issuer.authorize.decide(
    rig.tenant,
    step.requestId,
    browser,
    session,
    form,
  )
  assert.equal(locationOf(answered).searchParams.get('error'), 'unauthorized_client')
  const begun = rig.issuer.authorize.begin(rig.tenant, authorizeQuery(client), undefined, session)
  await refused(begun, 'unauthorized_client')
})

onEveryDatabase('an address that the client gives up meanwhile gets nothing', async (t, store) => {
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const client = await register(rig)
  const { step, browser } = await askConsent(rig, session, authorizeQuery(client))
  const { metadata } = await rig.db
    .selectFrom('clients')
    .select('metadata')
    .executeTakeFirstOrThrow()
  const moved = metadata.replace(redirectUri, 'https://moved.test/cb')
  await rig.db.updateTable('clients').set({ metadata: moved }).execute()
  const resumed = rig.issuer.authorize.resume(rig.tenant, step.requestId, browser, session)
  await refused(resumed, 'invalid_redirect_uri')
})

async function rowsOf(
  { db }: Rig,
  table: 'authorization_requests' | 'codes' | 'grants',
): Promise<number> {
  const row = await db
    .selectFrom(table)
    .select((of) => of.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return row.count
}

onEveryDatabase(
  'what another site began is asked about, remembered or not, if anybody could have begun it: P-23',
  async (t, store) => {
    const rig = await createRig(t, store)
    const session = await rig.signIn()
    const shared = await register(rig)
    const own = await register(rig, { token_endpoint_auth_method: 'client_secret_basic' })
    const begin = (client: RigClient, isByHand: boolean, changes = {}) =>
      rig.issuer.authorize.begin(rig.tenant, authorizeQuery(client, changes), undefined, session, {
        isByHand,
      })
    for (const client of [shared, own]) {
      await approve(rig, session, authorizeQuery(client))
      assert.ok(locationOf((await begin(client, true)).step).searchParams.has('code'))
    }
    assert.ok(locationOf((await begin(own, false)).step).searchParams.has('code'))
    const silent = await begin(shared, false, { prompt: 'none' })
    assert.equal(locationOf(silent.step).searchParams.get('error'), 'consent_required')

    const { step, browser } = await begin(shared, false)
    assert.ok(step.kind === 'consent')
    const again = await rig.issuer.authorize.resume(rig.tenant, step.requestId, browser, session)
    assert.equal(again.kind, 'consent', 'loading it again')
  },
)

onEveryDatabase(
  'an answer counts only for what the question showed of the client: X-34',
  async (t, store) => {
    const rig = await createRig(t, store)
    const { tenant, issuer } = rig
    const session = await rig.signIn()
    const client = await register(rig)
    const { step, browser } = await beginByHand(rig, authorizeQuery(client), session)
    assert.ok(step.kind === 'consent')
    const { requestId, formToken } = step
    const digestIs = (metadata_digest: string) =>
      rig.db.updateTable('clients').set({ metadata_digest }).where('id', '=', client.id).execute()
    const answer = (decision: string, token: string) =>
      issuer.authorize.decide(tenant, requestId, browser, session, { decision, formToken: token })

    await digestIs('another')
    for (const decision of ['approve', 'deny']) {
      await refused(answer(decision, formToken), 'bad_form')
    }
    const anew = await issuer.authorize.resume(tenant, requestId, browser, session)
    assert.ok(anew.kind === 'consent')
    assert.ok(locationOf(await answer('approve', anew.formToken)).searchParams.has('code'))
  },
)
