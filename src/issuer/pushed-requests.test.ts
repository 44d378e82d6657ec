import assert from 'node:assert/strict'
import { isFault } from '../base/fault.ts'
import { Secret } from '../base/secret.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import {
  authorizeQuery,
  createRig,
  createTwins,
  form,
  locationOf,
  pushForm,
  refused,
  register,
} from './issuer.rig.ts'
import type { Changes, Rig, RigClient } from './issuer.rig.ts'

/** Pushes a good request with changes and gives its `request_uri`. */
async function push(
  { issuer, tenant }: Pick<Rig, 'issuer' | 'tenant'>,
  client: RigClient,
  changes: Changes = {},
): Promise<string> {
  return (await issuer.push(tenant, pushForm(client, changes))).request_uri
}

/** The query by which a browser uses it. */
function use({ id }: RigClient, requestUri: string, more: Changes = {}): URLSearchParams {
  return new URLSearchParams({ client_id: id, request_uri: requestUri, ...more })
}

const secretClient = { token_endpoint_auth_method: 'client_secret_post' }

onEveryDatabase('a pushed request goes the way of any other', async (t, store) => {
  const rig = await createRig(t, store)
  const { issuer, tenant, db } = rig
  const session = await rig.signIn()
  const client = await register(rig, secretClient)
  const requestUri = await push(rig, client, { state: 'kept', nonce: 'n-1' })
  const [kept] = await db.selectFrom('pushed_requests').selectAll().execute()
  assert.doesNotMatch(JSON.stringify(kept), /mcp_cs_|client_secret|request_uri:/)

  const others = { redirect_uri: 'https://evil.test/cb', state: 'other', scope: 'admin', x: 'y' }
  const query = use(client, requestUri, others)
  const begun = await issuer.authorize.begin(tenant, query, undefined, session)
  assert.ok(begun.step.kind === 'consent')
  const { requestId, formToken } = begun.step
  const answer = { decision: 'approve', formToken }
  const decided = issuer.authorize.decide(tenant, requestId, begun.browser, session, answer)
  const location = locationOf(await decided)
  assert.equal(location.origin, 'https://app.test')
  assert.equal(location.searchParams.get('state'), 'kept')
  assert.match(location.searchParams.get('code') ?? '', /^auth_/)

  const rows = await db.selectFrom('journal_entries').select(['type', 'attempt']).execute()
  const attempt = rows.filter((row) => row.attempt === requestId).map(({ type }) => type)
  assert.deepEqual(attempt.toSorted(), [
    'authorization.pushed',
    'authorization.started',
    'consent.given',
    'grant.created',
  ])
})

onEveryDatabase('a pushed request is used by one browser', async (t, store) => {
  const rig = await createRig(t, store)
  const { issuer, tenant, db } = rig
  const session = await rig.signIn()
  const client = await register(rig)
  const query = use(client, await push(rig, client))
  const first = await issuer.authorize.begin(tenant, query, undefined, session)
  assert.ok(first.step.kind === 'consent' && first.browser !== undefined)

  await t.test('which may load it again', async () => {
    const again = await issuer.authorize.begin(tenant, query, first.browser, session)
    assert.deepEqual(again, { step: first.step })
    const signedOut = await issuer.authorize.begin(tenant, query, first.browser)
    assert.equal(signedOut.step.kind, 'sign_in')
  })
  await t.test('and by no other', async () => {
    for (const browser of [undefined, new Secret('another')]) {
      await refused(issuer.authorize.begin(tenant, query, browser, session), 'invalid_request')
    }
  })
  await t.test('and once it is answered, by nobody', async () => {
    const { requestId, formToken } = first.step as Extract<typeof first.step, { kind: 'consent' }> // asserted above
    const answer = { decision: 'deny', formToken }
    await issuer.authorize.decide(tenant, requestId, first.browser, session, answer)
    await refused(issuer.authorize.begin(tenant, query, first.browser, session), 'gone')
    await refused(issuer.authorize.begin(tenant, query, undefined, session), 'invalid_request')
  })
  assert.equal((await db.selectFrom('authorization_requests').selectAll().execute()).length, 1)
})

onEveryDatabase(
  'of fifty browsers at once one gets a pushed request',
  async (t, store, openAnother) => {
    const [one, other] = await createTwins(t, store, openAnother)
    const session = await one.signIn()
    const client = await register(one)
    const query = use(client, await push(one, client))
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, at) => {
        const { issuer, tenant } = at % 2 === 0 ? one : other
        return issuer.authorize
          .begin(tenant, query, new Secret(`browser ${at}`), session)
          .then(({ step }) => step.kind)
          .catch((error: unknown) => (isFault(error) ? error.code : String(error)))
      }),
    )
    const count = (kind: string) => outcomes.filter((outcome) => outcome === kind).length
    assert.deepEqual([count('consent'), count('invalid_request')], [1, 49], String(outcomes))
    const rows = await one.db.selectFrom('authorization_requests').selectAll().execute()
    assert.equal(rows.length, 1)
  },
  { needsConnections: true },
)

onEveryDatabase('a browser that asks twice at once is led on both times', async (t, store) => {
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const client = await register(rig)
  const query = use(client, await push(rig, client))
  const browser = new Secret('one browser')
  const begin = () => rig.issuer.authorize.begin(rig.tenant, query, browser, session)
  const begun = await Promise.all(Array.from({ length: 10 }, begin))
  const ids = begun.map(({ step }) => step.kind === 'consent' && step.requestId)
  assert.equal(new Set(ids).size, 1)
  assert.notEqual(ids[0], false)
})

onEveryDatabase('a pushed request lasts 90 seconds', async (t, store) => {
  const rig = await createRig(t, store)
  const { issuer, tenant, clock } = rig
  const client = await register(rig)
  const fields = form(Object.fromEntries(authorizeQuery(client)))
  const { request_uri, expires_in } = await issuer.push(tenant, fields)
  assert.match(request_uri, /^urn:ietf:params:oauth:request_uri:[\w-]{43}$/)
  assert.equal(expires_in, 90)
  const late = await issuer.push(tenant, fields)
  await clock.advance(89_999)
  const used = await issuer.authorize.begin(tenant, use(client, request_uri), undefined)
  assert.equal(used.step.kind, 'sign_in')
  await clock.advance(1)
  const begin = (uri: string) => issuer.authorize.begin(tenant, use(client, uri), used.browser)
  await refused(begin(late.request_uri), 'invalid_request')
  await refused(begin(request_uri), 'invalid_request')
  assert.equal((await issuer.sweep(clock.now())).pushedRequests, 2)
  await refused(begin(request_uri), 'invalid_request')
})

onEveryDatabase('a pushed request is for its client alone', async (t, store) => {
  const rig = await createRig(t, store)
  const { issuer, tenant, db } = rig
  const client = await register(rig)
  const other = await register(rig, { client_name: 'Another' })
  const uri = await push(rig, client)
  const begin = (query: URLSearchParams) => issuer.authorize.begin(tenant, query, undefined)
  const twice = use(client, uri)
  twice.append('client_id', other.id)
  const twoUris = use(client, uri)
  twoUris.append('request_uri', uri)
  const bad = [
    use(other, uri),
    use({ id: 'mcp_oauth_unknown', secret: undefined }, uri),
    new URLSearchParams({ request_uri: uri }),
    twice,
    twoUris,
    use(client, uri.slice(0, -1)),
    use(client, `${uri.slice(0, -1)}!`),
    use(client, `urn:ietf:params:oauth:request_uri:${'x'.repeat(43)}`),
    new URLSearchParams({ ...Object.fromEntries(authorizeQuery(client)), request_uri: `${uri}x` }),
  ]
  for (const query of bad) await refused(begin(query), 'invalid_request')
  assert.deepEqual(await db.selectFrom('authorization_requests').selectAll().execute(), [])
  assert.equal((await begin(use(client, uri))).step.kind, 'sign_in')
})

onEveryDatabase('what changed since the push is looked at again', async (t, store) => {
  const rig = await createRig(t, store)
  const { issuer, tenant } = rig
  const client = await register(rig, secretClient)
  const uri = await push(rig, client)
  const begin = () => issuer.authorize.begin(tenant, use(client, uri), undefined)
  const change = (fields: Parameters<typeof issuer.clients.update>[2]) =>
    issuer.clients.update({ tenant }, client.id, fields)
  await change({ disabled: true })
  await refused(begin(), 'unauthorized_client')
  await change({ disabled: false, redirectUris: ['https://app.test/new'] })
  await refused(begin(), 'invalid_redirect_uri')
  await change({ redirectUris: ['https://app.test/cb'] })
  assert.equal((await begin()).step.kind, 'sign_in', 'nothing of that has used it up')
})

onEveryDatabase(
  'a client that pushes its requests is not asked for in any other way',
  async (t, store) => {
    const rig = await createRig(t, store)
    const { issuer, tenant } = rig
    const client = await register(rig, { require_pushed_authorization_requests: true })
    const plain = await issuer.authorize.begin(tenant, authorizeQuery(client), undefined)
    const location = locationOf(plain.step)
    assert.equal(location.searchParams.get('error'), 'invalid_request')
    assert.equal(location.searchParams.get('state'), 'state-1')
    const pushed = await issuer.authorize.begin(
      tenant,
      use(client, await push(rig, client)),
      undefined,
    )
    assert.equal(pushed.step.kind, 'sign_in')
  },
)

onEveryDatabase(
  'a client with a request on its way is not swept as never used',
  async (t, store) => {
    const rig = await createRig(t, store)
    const { issuer, tenant, clock } = rig
    const client = await register(rig)
    await clock.advance(24 * 3_600_000)
    const uri = await push(rig, client)
    assert.equal((await issuer.sweep(clock.now())).clients, 0)
    assert.equal(
      (await issuer.authorize.begin(tenant, use(client, uri), undefined)).step.kind,
      'sign_in',
    )
  },
)
