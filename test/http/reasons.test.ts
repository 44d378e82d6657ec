// What a refusal of the authorization server says besides its code: the reason, where it is about nothing but what was
// sent; else the same words for whatever may be behind it, so that nobody learns what is known here.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import { signIn } from '../harness.ts'
import { assertAnswer, openDoors } from './doors.ts'
import type { Ask, Doors } from './doors.ts'
import {
  authorizePath,
  obtainCode,
  obtainTokens,
  redeem,
  refresh,
  register,
} from './oauth-client.ts'

test('a client reads what is wrong with its own request', async (t) => {
  const doors = await openDoors(t)
  const client = await register(doors)
  const { ask } = doors
  const json = (fields: object): Ask => ({ path: '/oauth/register', json: fields })
  const form = (path: string, fields: object): Ask => ({
    path,
    form: { client_id: client.id, ...fields },
  })
  const pushed = {
    response_type: 'code',
    redirect_uri: client.redirectUri,
    code_challenge: 'x',
    code_challenge_method: 'plain',
  }
  const good = { redirect_uris: ['https://app.test/cb'] }
  const rows: readonly (readonly [Ask, string, RegExp])[] = [
    [
      json({ ...good, token_endpoint_auth_method: 'magic' }),
      'invalid_client_metadata',
      /magic|auth_method/,
    ],
    [json({ client_name: 'x' }), 'invalid_redirect_uri', /redirect_uris is not a list of 1 to 10/],
    [json({ redirect_uris: ['https://app.test/#x'] }), 'invalid_redirect_uri', /redirect URI 1 /],
    [form('/oauth/token', { code: 'x' }), 'invalid_request', /grant_type is missing/],
    [form('/oauth/token', { grant_type: 'magic' }), 'unsupported_grant_type', /no such grant type/],
    [
      form('/oauth/token', { grant_type: ['refresh_token', 'refresh_token'] }),
      'invalid_request',
      /'grant_type' is there more than once/,
    ],
    [
      { path: '/oauth/token', json: { grant_type: 'refresh_token' } },
      'invalid_request',
      /x-www-form-urlencoded/,
    ],
    [
      form('/oauth/token', { grant_type: 'client_credentials' }),
      'unauthorized_client',
      /not registered for client_credentials/,
    ],
    [form('/oauth/par', pushed), 'invalid_request', /code_challenge with method S256/],
    [
      form('/oauth/par', { ...pushed, redirect_uri: 'https://app.test/cb/' }),
      'invalid_request',
      /redirect URI is not one that the client has registered/,
    ],
  ]
  for (const [request, error, says] of rows) {
    const answer = await ask(request)
    assertAnswer(answer, { status: 400, error })
    assert.match(answer.json.error_description, says)
  }
})

test('an authorization request that is refused says why, to the client by redirect or else on the page', async (t) => {
  const doors = await openDoors(t)
  const client = await register(doors)
  const told = async (changes: Readonly<Record<string, string | undefined>>) => {
    const { headers } = await doors.ask({ path: authorizePath(client, changes) })
    return new URL(headers.get('location') ?? '').searchParams.get('error_description') ?? ''
  }
  assert.match(await told({ code_challenge: undefined, code_challenge_method: undefined }), /S256/)
  assert.match(await told({ scope: 'mcp everything' }), /the scope everything cannot be had/)
  assert.match(await told({ resource: 'https://other.test/mcp' }), /no such resource/)
  assertAnswer(
    await doors.ask({ path: authorizePath(client, { redirect_uri: 'https://x.test/' }) }),
    {
      status: 400,
      says: /redirect URI is not one that the client has registered/,
    },
  )
})

test('what is not known here, another’s, or over is told in the same words', async (t) => {
  const clock = createManualClock(Date.now())
  const doors = await openDoors(t, { clock })
  const browser = await signIn(doors.origin)
  const [client, other] = [await register(doors), await register(doors, { client_name: 'Other' })]
  const secret = { token_endpoint_auth_method: 'client_secret_post', client_name: 'Keeper' }
  const keeper = await register(doors, secret)
  const newCode = () => obtainCode(doors, browser, client, { prompt: 'consent' })
  const spent = await newCode()
  await redeem(doors, client, spent)
  const { refreshToken } = await obtainTokens(doors, browser, client, { prompt: 'consent' })
  const old = await newCode()
  await clock.advance(60_000)

  await assertAlike([
    () => redeem(doors, client, 'auth_unknown'),
    async () => redeem(doors, other, await newCode()),
    () => redeem(doors, client, spent),
    () => redeem(doors, client, old),
    async () => redeem(doors, client, await newCode(), { code_verifier: 'w'.repeat(64) }),
    () => refresh(doors, client, 'mcp_rt_unknown'),
    () => refresh(doors, other, refreshToken),
  ])
  await assertAlike([
    () => redeem(doors, { ...keeper, id: 'mcp_oauth_unknown' }, 'auth_x'),
    () => redeem(doors, { ...keeper, secret: 'wrong' }, 'auth_x'),
    () => redeem(doors, { id: keeper.id, redirectUri: keeper.redirectUri }, 'auth_x'),
  ])
})

async function assertAlike(requests: readonly (() => ReturnType<Doors['ask']>)[]) {
  const texts = new Set<string>()
  for (const request of requests) texts.add((await request()).text)
  assert.equal(texts.size, 1, [...texts].join('\n'))
}
