// `latchkey tokens …` beside a running server: what each kind of secret is worth, and that ending it holds at once.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { randomSecret, systemRandom } from '../../src/base/random.ts'
import { restAs, signIn } from '../harness.ts'
import {
  isActive,
  obtainCode,
  obtainTokens,
  redeem,
  refresh,
  register,
} from '../http/oauth-client.ts'
import { verifies } from '../requirements.ts'
import { doorsOf, openBeside, openShell } from './command.ts'
import type { Shell } from './command.ts'

const confidential = { token_endpoint_auth_method: 'client_secret_post' }

test('an operator sees what a secret is worth, and ends it', async (t) => {
  const shell = await openShell(t)
  await shell.start()
  const doors = doorsOf(shell)
  const browser = await signIn(shell.origin)
  const client = await register(doors, confidential)
  const tokens = await obtainTokens(doors, browser, client)

  const access = await inspect(shell, tokens.accessToken)
  assert.equal(access.kind, 'access_token')
  assert.equal(access.alive, true)
  assert.equal(access.user.email, 'ada@example.com')
  assert.deepEqual(access.client, { id: client.id, name: 'An app' })
  assert.equal(access.resource, `${shell.origin}/mcp`)
  assert.deepEqual(access.scopes, ['mcp'])
  assert.match(access.grantId, /^grt_/)
  assert.ok(access.expiresAt > Date.now() && access.createdAt <= Date.now())
  assert.equal(access.lastUsedAt, undefined)
  const said = await shell.pipe(tokens.accessToken, 'tokens', 'inspect')
  assert.match(said.out, /Last used +never/)

  await t.test('an access token ends alone', async (t) => {
    verifies(t, 'S3-11', 'S3-47')
    assert.equal((await revoke(shell, tokens.accessToken)).ended, true)
    assert.equal(await isActive(doors, tokens.accessToken), false)
    assert.equal((await inspect(shell, tokens.accessToken)).endedBy, 'revoked')
    assert.equal((await revoke(shell, tokens.accessToken)).ended, false)
  })
  const next = await refresh(doors, client, tokens.refreshToken)
  assert.equal(next.status, 200, 'the grant lives on')

  await t.test('a refresh token ends with its grant', async (t) => {
    verifies(t, 'S3-47')
    assert.equal((await inspect(shell, tokens.refreshToken)).endedBy, 'spent')
    const current = next.json.refresh_token
    assert.equal((await inspect(shell, current)).alive, true)
    assert.equal(await isActive(doors, next.json.access_token), true)
    assert.equal((await revoke(shell, current)).ended, true)
    assert.equal(await isActive(doors, next.json.access_token), false)
    assert.equal((await refresh(doors, client, current)).json.error, 'invalid_grant')
    assert.equal((await inspect(shell, next.json.access_token)).endedBy, 'grant_ended')
  })

  await t.test('a code ends with its grant', async () => {
    const code = await obtainCode(doors, browser, client)
    assert.deepEqual(pick(await inspect(shell, code)), ['code', true])
    await revoke(shell, code)
    assert.equal((await redeem(doors, client, code)).json.error, 'invalid_grant')
  })

  await t.test('a client secret ends, and nothing else of its client', async () => {
    const living = await obtainTokens(doors, browser, client)
    assert.deepEqual(pick(await inspect(shell, client.secret ?? '')), ['client_secret', true])
    await revoke(shell, client.secret ?? '')
    assert.equal((await refresh(doors, client, living.refreshToken)).json.error, 'invalid_client')
    assert.equal(await isActive(doors, living.accessToken), true)
    const gone = await shell.pipe(client.secret ?? '', 'tokens', 'inspect')
    assert.deepEqual([gone.code, /no token, code, secret or key/.test(gone.out)], [1, true])
  })

  await t.test('an API key ends', async () => {
    const made = await restAs(browser, shell.origin)('POST', '/api-keys', {
      name: 'script',
      scopes: ['api'],
    })
    assert.equal(made.status, 201)
    const { key, id } = made.body
    const found = await inspect(shell, key)
    assert.deepEqual([...pick(found), found.apiKeyId], ['api_key', true, id])
    await revoke(shell, key)
    const answer = await fetch(`${shell.origin}/api/v1/servers`, {
      headers: { authorization: `Bearer ${key}` },
    })
    assert.equal(answer.status, 401)
  })

  await t.test('a grant ends by its id, and the journal names the operator', async () => {
    const other = await register(doors)
    const { accessToken } = await obtainTokens(doors, browser, other)
    const { grantId } = await inspect(shell, accessToken)
    assert.deepEqual(await shell.json('tokens', 'revoke', '--grant', grantId), {
      grantId,
      ended: true,
    })
    assert.equal(await isActive(doors, accessToken), false)
    const { db } = await openBeside(t, shell)
    const entry = await db
      .selectFrom('journal_entries')
      .selectAll()
      .where('type', '=', 'grant.revoked')
      .where('subject_id', '=', grantId)
      .executeTakeFirstOrThrow()
    assert.equal(entry.actor_kind, 'operator')
    const actors = await db
      .selectFrom('journal_entries')
      .select(['type', 'actor_kind'])
      .where('type', 'in', ['token.revoked', 'client.secret_revoked', 'api_key.revoked'])
      .execute()
    assert.equal(actors.length, 3)
    assert.ok(actors.every(({ actor_kind: kind }) => kind === 'operator'))
    const nobody = await shell.run('tokens', 'revoke', '--grant', 'grt_nobody')
    assert.equal(nobody.code, 1)
    assert.match(nobody.error, /There is no such grant here/)
  })
})

test('a token is never a word of the command, and never printed', async (t) => {
  const shell = await openShell(t)
  await shell.run('migrate')
  const token = randomSecret(systemRandom, 'mcp_at_').reveal()
  for (const words of [
    ['inspect', token],
    ['revoke', token],
  ]) {
    const { code, out, error } = await shell.run('tokens', ...words)
    assert.deepEqual([code, out], [1, ''])
    assert.match(error, /Do not write a token as a word of the command/)
    assert.doesNotMatch(error, /mcp_at_/)
  }
  const unknown = await shell.pipe(`${token}\n`, 'tokens', 'inspect', '--json')
  assert.deepEqual([unknown.code, JSON.parse(unknown.out)], [1, { kind: 'unknown' }])
  for (const [input, says] of [
    ['', /Nothing came in/],
    ['two words', /One token at a time/],
    ['x'.repeat(20_000), /too long/],
  ] as const) {
    const { code, error } = await shell.pipe(input, 'tokens', 'inspect')
    assert.equal(code, 1)
    assert.match(error, says)
  }
})

async function inspect(shell: Shell, secret: string) {
  const { code, out, error } = await shell.pipe(secret, 'tokens', 'inspect', '--json')
  assert.equal(code, 0, error)
  assert.ok(!out.includes(secret), 'it is not printed')
  const words = await shell.pipe(secret, 'tokens', 'inspect')
  assert.match(
    words.out,
    /^Kind +(?:access token|refresh token|authorization code|client secret|API key)\nAlive +/,
  )
  assert.ok(!words.out.includes(secret), 'nor for people')
  return JSON.parse(out)
}

async function revoke(shell: Shell, secret: string) {
  const { code, out, error } = await shell.pipe(secret, 'tokens', 'revoke', '--json')
  assert.equal(code, 0, error)
  assert.ok(!out.includes(secret), 'it is not printed')
  return JSON.parse(out)
}

function pick({ kind, alive }: { readonly kind: string; readonly alive: boolean }) {
  return [kind, alive]
}
