// What every surface says while the database cannot be written: come back later, and nothing was spent (threats 5, row 31).
import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { sql } from 'kysely'
import { signIn } from '../harness.ts'
import { verifies } from '../requirements.ts'
import { assertAnswer, openDoors } from './doors.ts'
import type { Answer, Doors } from './doors.ts'
import {
  authorizePath,
  obtainCode,
  obtainTokens,
  redeem,
  refresh,
  register,
} from './oauth-client.ts'

const later = { status: 503, has: { 'retry-after': /^\d+$/, 'cache-control': 'no-store' } } as const
const oauth = { ...later, error: 'temporarily_unavailable' }

test('while another process holds the database [row 31]', async (t) => {
  const doors = await openDoors(t)
  const { ask, origin } = doors
  const client = await register(doors)
  const browser = await signIn(origin)
  const code = await obtainCode(doors, browser, client)
  const { refreshToken } = await obtainTokens(doors, browser, client)
  const key = { name: 'x', scopes: ['api'] }

  const blocked = await whileHeld(doors, () => ({
    token: redeem(doors, client, code),
    refresh: refresh(doors, client, refreshToken),
    register: ask({ path: '/oauth/register', json: { redirect_uris: [client.redirectUri] } }),
    revoke: ask({ path: '/oauth/revoke', form: { client_id: client.id, token: refreshToken } }),
    api: ask({ path: '/api/v1/api-keys', browser, json: key, headers: { origin } }),
    page: ask({ path: authorizePath(client), browser }),
    read: ask({ path: '/api/v1/grants', browser }),
  }))

  for (const name of ['token', 'refresh', 'register', 'revoke'] as const) {
    await t.test(`${name}: temporarily_unavailable with Retry-After`, (t) => {
      verifies(t, 'S3-23', 'T-31')
      assertAnswer(blocked[name], {
        ...oauth,
        has: { ...later.has, 'content-type': 'application/json' },
      })
    })
  }
  await t.test('REST says so too', () => {
    assertAnswer(blocked.api, {
      ...oauth,
      has: { ...later.has, 'content-type': 'application/problem+json' },
    })
    assert.equal(blocked.api.json.retryable, true)
  })
  await t.test('a page says so too, and leads nowhere', () => {
    assertAnswer(blocked.page, { ...later, hasNot: ['location'] })
  })
  await t.test('what only reads goes on', () => {
    assertAnswer(blocked.read, { status: 200 })
  })
  await t.test('afterwards code and refresh token are as good as before', async () => {
    assert.equal((await redeem(doors, client, code)).status, 200)
    assert.equal((await refresh(doors, client, refreshToken)).status, 200)
  })
})

/** Runs these requests while somebody else is in the middle of a write that does not end. */
async function whileHeld<K extends string>(
  { store }: Doors,
  requests: () => Readonly<Record<K, Promise<Answer>>>,
): Promise<Record<K, Answer>> {
  const { rows } = await sql<{ file: string }>`select file from pragma_database_list`.execute(
    store.db,
  )
  const other = new DatabaseSync(rows[0]?.file ?? '')
  other.exec('begin immediate')
  try {
    const entries = Object.entries<Promise<Answer>>(requests())
    const answers = await Promise.all(entries.map(async ([name, answer]) => [name, await answer]))
    return Object.fromEntries(answers) as Record<K, Answer> // the names that were given
  } finally {
    other.exec('rollback')
    other.close()
  }
}
