// `latchkey test-flow` against a running server, and against one that a middleman breaks: it must see what is broken, and
// leave nothing of its own and everything of others, however it ends.
import assert from 'node:assert/strict'
import { request as httpRequest } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { sql } from 'kysely'
import { operatorAtTheMachine } from '../../src/people/principal.ts'
import type { Database } from '../../src/store/database.ts'
import { listenOnLoopback } from '../counterparts/loopback.ts'
import { restAs, signIn } from '../harness.ts'
import { register } from '../http/oauth-client.ts'
import { verifies } from '../requirements.ts'
import { doorsOf, openBeside, openShell } from './command.ts'
import type { Shell } from './command.ts'

test('every check passes against a server that is right, and nothing of the test is left', async (t) => {
  verifies(t, 'S3-37', 'A3-12', 'S3-8', 'S3-10', 'S3-11')
  const { shell, db, workshop } = await openTown(t)
  const before = await everyRow(db)
  const { code, out, error } = await shell.run('test-flow')
  assert.equal(code, 0, out + error)
  assert.doesNotMatch(out, /✗/)
  assert.match(out, /All \d+ checks passed/)
  for (const words of [
    /^✓ A client registers itself$/m,
    /^✓ A person agrees, and a code goes back with the state unchanged$/m,
    /^✓ The code is stored, as a digest, for one use$/m,
    /^✓ A code that is used again is refused$/m,
    /^✓ … and the tokens that were made from it are dead$/m,
    /^✓ The access token lists the tools at \/mcp$/m,
    /^✓ The same refresh again, as when an answer is lost, gives the same tokens$/m,
    /^✓ … and its whole family is dead$/m,
    /^✓ A revoked access token is dead on the very next request$/m,
    /^✓ What the test made is gone again: 1 person, 1 client, 4 grants, 4 codes, .+, 4 attempts to connect$/m,
    /^What stays:\n +entries in the journal +it only grows/m,
  ]) {
    assert.match(out, words)
  }
  assert.doesNotMatch(out + error, /mcp_(?:at|rt|cs)_|auth_/)
  assert.deepEqual(await everyRow(db), before)

  const [one, other] = await Promise.all([
    shell.json('test-flow', '--url', shell.origin),
    shell.json('test-flow'),
  ])
  for (const { ok, removed, ...told } of [one, other]) {
    assert.equal(ok, true)
    assert.deepEqual([removed.people, removed.clients, removed.attempts], [1, 1, 4])
    assert.deepEqual(factsIn(told), factsIn(readText(out)), 'both forms tell the same')
  }
  assert.deepEqual(await everyRow(db), before, 'two at once do not touch each other')
  const { rows } = await sql<{ type: string }>`
    select type from journal_entries where type in ('user.deleted', 'client.deleted')
  `.execute(db)
  assert.equal(rows.length, 6, 'the journal tells of each')
  assert.equal((await workshop.people.list(operatorAtTheMachine(workshop.tenant))).items.length, 2)
})

test('what the test causes on purpose is nobody’s failure; who only says to be the test is noted', async (t) => {
  verifies(t, 'A3-12')
  const { shell } = await openTown(t)
  const asOperator = restAs(await signIn(shell.origin), shell.origin)
  const attempts = async () => (await asOperator('GET', '/attempts')).body.items
  const refusals = async () => (await asOperator('GET', '/usage')).body.refusals
  assert.deepEqual([(await attempts()).length, await refusals()], [1, []])
  assert.equal((await shell.run('test-flow')).code, 0)
  assert.deepEqual([(await attempts()).length, await refusals()], [1, []])

  const refused = await fetch(`${shell.origin}/oauth/authorize?client_id=mcp_oauth_gone`, {
    headers: {
      'user-agent': 'latchkey-test-flow/1',
      'latchkey-test-flow': `${Date.now() + 60_000}.${'A'.repeat(43)}`,
    },
  })
  assert.equal(refused.status, 400)
  assert.equal((await attempts()).length, 2)
  const counts = { type: 'authorization.refused', error: 'invalid_client', count: 1 }
  assert.deepEqual(await refusals(), [counts])
})

test('what is broken is seen, the rest is still tried, and the exit code says so', async (t) => {
  verifies(t, 'S3-37', 'A3-12')
  const { shell, db } = await openTown(t)
  const before = await everyRow(db)
  const middleman = await startMiddleman(t, shell)
  const run = async () => {
    const { code, out } = await shell.run('test-flow', '--url', middleman.url, '--json')
    return { code, ...JSON.parse(out) }
  }
  const whole = await run()
  assert.deepEqual(
    [whole.code, whole.ok],
    [0, true],
    JSON.stringify(whole.checks.filter(({ ok }: { ok: boolean }) => !ok)),
  )

  for (const [what, breaks, failed] of [
    [
      'a revocation that does nothing',
      { path: '/oauth/revoke', answer: { status: 200, body: '' } },
      ['A revoked access token is dead on the very next request'],
    ],
    [
      'introspection that calls everything active',
      { path: '/oauth/introspect', answer: { status: 200, body: '{"active":true}' } },
      [
        'Introspection tells the token’s client, person and scope',
        'A revoked access token is dead on the very next request',
      ],
    ],
    [
      'a gateway that is closed',
      { path: '/mcp', answer: { status: 503, body: '{}' } },
      [
        'The access token lists the tools at /mcp',
        '… and the tokens that were made from it are dead',
        'A refresh gives a new access token and a new refresh token',
        'A revoked access token is dead on the very next request',
      ],
    ],
    [
      'registration that is closed',
      { path: '/oauth/register', answer: { status: 403, body: '{"error":"access_denied"}' } },
      ['A client registers itself'],
    ],
  ] as const) {
    await t.test(what, async () => {
      middleman.break(breaks)
      const broken = await run()
      assert.deepEqual([broken.code, broken.ok], [1, false])
      const words = broken.checks
        .filter(({ ok }: { ok: boolean }) => !ok)
        .map((check: { words: string }) => check.words)
      assert.deepEqual(words, failed)
      assert.deepEqual(await everyRow(db), before)
    })
  }
  middleman.break({ path: '/oauth/revoke', answer: { status: 200, body: '' } })
  const { code, out } = await shell.run('test-flow', '--url', middleman.url)
  assert.equal(code, 1)
  assert.deepEqual(factsIn(await run()), factsIn(readText(out)), 'both forms tell the same')
  assert.match(
    out,
    /^✗ A revoked access token is dead on the very next request: answered 200 inst/m,
  )
  assert.match(out, /^1 of \d+ checks failed\./m)
})

test('Ctrl-C in the middle leaves nothing', async (t) => {
  verifies(t, 'A3-12')
  const { shell, db } = await openTown(t)
  const before = await everyRow(db)
  const middleman = await startMiddleman(t, shell)
  middleman.break({ path: '/oauth/token', answer: 'never' })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const running = shell.begin('test-flow', '--url', middleman.url)
    await running.seen('A client registers itself')
    assert.notDeepEqual(await everyRow(db), before)
    running.kill(signal)
    const { code, out } = await running.ended
    assert.equal(code, 130)
    assert.match(out, /^✓ What the test made is gone again: 1 person, 1 client, /m)
    assert.match(out, /^Stopped after \d+ checks\.$/m)
    assert.deepEqual(await everyRow(db), before)
  }
})

test('a later run takes away what a killed one left, and only that', async (t) => {
  verifies(t, 'A3-12')
  const { shell, db } = await openTown(t)
  const before = await everyRow(db)
  const middleman = await startMiddleman(t, shell)
  middleman.break({ path: '/oauth/introspect', answer: 'never' })
  const running = shell.begin('test-flow', '--url', middleman.url)
  await running.seen('Without a token')
  running.kill('SIGKILL')
  await running.ended
  const left = await everyRow(db)
  assert.notDeepEqual(left, before)

  assert.equal((await shell.run('test-flow')).code, 0)
  assert.deepEqual(await everyRow(db), left, 'a run that may be under way is left alone')
  await db
    .updateTable('identities')
    .set({ created_at: Date.now() - 11 * 60_000 })
    .execute()
  const { code, out } = await shell.run('test-flow')
  assert.equal(code, 0, out)
  assert.match(
    out,
    /An earlier run was killed; what it left is gone: 1 person, 1 client, \d grants?,/,
  )
  assert.deepEqual(await everyRow(db), before)
})

test('a server that is not there or is another one is said in words, and nothing is made', async (t) => {
  verifies(t, 'S3-37')
  const shell = await openShell(t)
  await shell.run('migrate')
  const silent = await shell.run('test-flow')
  assert.equal(silent.code, 1)
  assert.match(
    silent.error,
    /^http:\/\/localhost:\d+ does not answer \(ECONNREFUSED\)\. Is Latchkey ru/,
  )

  const other = await openShell(t, { LATCHKEY_PUBLIC_URL: shell.origin })
  await other.start()
  const { LATCHKEY_LISTEN: listen = '' } = other.environment
  const wrong = await shell.run('test-flow', '--url', `http://${listen}`)
  assert.equal(wrong.code, 1)
  assert.match(wrong.error, /is another Latchkey than the one of this database/)

  const third = await openShell(t)
  await third.start()
  const stranger = await shell.run('test-flow', '--url', third.origin)
  assert.equal(stranger.code, 1)
  assert.match(stranger.error, /answers, but is no Latchkey for http:\/\/localhost:\d+\./)
  const odd = await shell.run('test-flow', '--url', 'ftp://a.test')
  assert.deepEqual([odd.code, odd.error], [1, '--url is an http or https address.\n'])
  const { db } = await openBeside(t, shell)
  assert.deepEqual(await db.selectFrom('users').select('id').execute(), [])
})

interface Told {
  readonly checks: readonly unknown[]
  readonly summary: string
  readonly stays: readonly unknown[]
}

function factsIn({ checks, summary, stays }: Told): Told {
  return { checks, summary, stays }
}

/** What the printed lines say, in the form of the JSON. */
function readText(out: string): Told {
  const [lines = '', summary = '', kept = ''] = out.trim().split('\n\n')
  const checks = lines.split('\n').map((line) => {
    if (line.startsWith('✗')) {
      const [words = '', because] = line.slice(2).split(': ')
      return { words, ok: false, because }
    }
    // What went is told by its counts.
    return { words: line.slice(2).replace(/(gone again): .+$/, '$1'), ok: true }
  })
  const stays = kept
    .split('\n')
    .slice(1)
    .map((line) => {
      const [what, why] = line.trim().split(/ {2,}/)
      return { what, why }
    })
  return { checks, summary, stays }
}

/** A running server with people and clients who look like tests and are not. */
async function openTown(t: TestContext) {
  const shell = await openShell(t)
  await shell.start()
  const workshop = await openBeside(t, shell)
  const { db, tenant } = workshop
  await workshop.issuer.signingKeys.published(tenant) // made when they are first needed
  await workshop.users.create({ tenant, email: 'test1@example.com', role: 'user' })
  await register(doorsOf(shell), {
    client_name: 'Latchkey test-flow',
    redirect_uris: ['https://test-flow.invalid/run_1'],
  })
  return { shell, db, workshop }
}

/** Every request is counted by its limits, whoever made it. */
const counted: ReadonlySet<string> = new Set(['rate_limits'])

/** A server writes uses when it comes to it. */
function withoutUses(column: string, value: unknown): unknown {
  return /^(?:use_count|(?:first|last)_used_at|first_call_at)$/.test(column) ? undefined : value
}

/** Every row of every table but the journal, which keeps what happened, and those. */
async function everyRow(db: Database): Promise<readonly string[]> {
  const tables = await db.introspection.getTables()
  const rows = await Promise.all(
    tables
      .map(({ name }) => name)
      .filter((name) => !name.startsWith('journal_') && !counted.has(name))
      .map(async (name) => {
        const { rows } = await sql`select * from ${sql.table(name)}`.execute(db)
        return rows.map((row) => `${name} ${JSON.stringify(row, withoutUses)}`)
      }),
  )
  return rows.flat().toSorted()
}

interface Break {
  readonly path: string
  readonly answer: { readonly status: number; readonly body: string } | 'never'
}

/** Stands between the command and the server, and answers one path in the server's stead. */
async function startMiddleman(t: TestContext, { origin }: Shell) {
  let broken: Break | undefined
  const { origin: url, stop } = await listenOnLoopback(() => (request, response) => {
    if (broken === undefined || broken.path !== request.url) {
      return forward(origin, request, response)
    }
    const { answer } = broken
    if (answer === 'never') return
    response.writeHead(answer.status, {
      'content-type': 'application/json',
      'cache-control': 'no-store',
    })
    response.end(answer.body)
  })
  t.after(stop)
  return {
    url,
    break: (next: Break) => {
      broken = next
    },
  }
}

function forward(origin: string, request: IncomingMessage, response: ServerResponse): void {
  const { method, headers, url = '/' } = request
  const onward = httpRequest(new URL(url, origin), { method, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 0, answer.headers)
    answer.pipe(response)
  })
  onward.on('error', () => response.destroy())
  request.pipe(onward)
}
