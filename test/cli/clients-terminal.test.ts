// `latchkey clients create` as a person runs it: in a real terminal, question by question.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { operator } from '../harness.ts'
import { verifies } from '../requirements.ts'
import { openBeside, openShell } from './command.ts'

const words = ['clients', 'create']
const controlC = '\u0003'
const hasTerminals = String(spawnSync('script', ['--version']).stdout).includes('util-linux')

test('a person makes a client for Claude.ai in a terminal', async (t) => {
  verifies(t, 'S3-36', 'S3-40', 'A3-2')
  if (!hasTerminals) return t.skip('there is no script(1) of util-linux')
  const shell = await openShell(t)
  await shell.start()
  const { db } = await openBeside(t, shell)
  const clients = () => db.selectFrom('clients').selectAll().execute()

  const questions = [
    /Name that people see: $/,
    /those of Claude\]: $/,
    /Scopes.+\[mcp\]: $/,
    /Who answers for it \(e-mail or user id\): $/,
    /Make this client\? \(yes\/no\): $/,
  ]
  const answers = ['Claude', '', '', operator.email]
  const talk = (last: string) =>
    [...answers, last].map(
      (answer, index) =>
        [questions[index] ?? /$^/, answer === controlC ? answer : `${answer}\r`] as const,
    )

  const made = await shell.talk(words, talk('yes'))
  assert.equal(made.code, 0, made.out)
  const [client] = await clients()
  assert.deepEqual(JSON.parse(client?.metadata ?? '{}').redirect_uris, [
    'https://claude.ai/api/mcp/auth_callback',
    'https://claude.com/api/mcp/auth_callback',
    'https://claude.ai/oauth/callback',
    'https://claude.ai/api/oauth/callback',
  ])
  assert.equal(made.out.match(/mcp_cs_/g)?.length, 1, 'the secret stands there once')
  for (const field of [
    /^ +Name: +Claude$/m,
    new RegExp(`^ +Authorization URL: +${shell.origin}/oauth/authorize$`, 'm'),
    new RegExp(`^ +Token URL: +${shell.origin}/oauth/token$`, 'm'),
    new RegExp(`^ +Client ID: +${client?.id}$`, 'm'),
    /^ +Client Secret: +mcp_cs_[\w-]{43}$/m,
    /^ +Scopes: +mcp$/m,
    new RegExp(`^ +API Base URL: +${shell.origin}$`, 'm'),
    /^ +Authentication: +OAuth 2\.0$/m,
    /^The secret is shown only this once\.$/m,
  ]) {
    assert.match(made.out, field)
  }
  assert.match(client?.id ?? '', /^mcp_oauth_/)

  for (const no of ['no', 'yeah', '', controlC]) {
    const cancelled = await shell.talk(words, talk(no))
    assert.equal(cancelled.code, 0, cancelled.out)
    assert.match(cancelled.out, /Cancelled\. Nothing was made\./)
    assert.doesNotMatch(cancelled.out, /mcp_cs_/)
  }
  for (let count = 0; count < answers.length; count += 1) {
    const asked = talk('yes').slice(0, count)
    const stopped = await shell.talk(words, [...asked, [questions[count] ?? /$^/, controlC]])
    assert.equal(stopped.code, 0, 'Ctrl-C is no failure')
    assert.match(stopped.out, /Cancelled\. Nothing was made\./)
  }
  for (const [index, answer, says] of [
    [0, '', /The name must not be empty/],
    [1, ',', /At least one redirect URI is needed/],
    [3, '', /The user must not be empty/],
  ] as const) {
    const given = talk('no')
    const wrong = [questions[index] ?? /$^/, `${answer}\r`] as const
    const again = await shell.talk(words, given.toSpliced(index, 0, wrong))
    assert.equal(again.code, 0, again.out)
    assert.match(again.out, says)
    assert.match(again.out, /Cancelled\. Nothing was made\./, 'it went on to the last question')
  }
  const nameless = Array.from({ length: 5 }, () => [questions[0] ?? /$^/, '\r'] as const)
  const refused = await shell.talk(words, nameless)
  assert.equal(refused.code, 1, refused.out)
  assert.equal((await clients()).length, 1, 'nothing else was made')
  assert.equal((await db.selectFrom('client_secrets').selectAll().execute()).length, 1)
})

test('a token is asked for without being shown', async (t) => {
  if (!hasTerminals) return t.skip('there is no script(1) of util-linux')
  const shell = await openShell(t)
  await shell.run('migrate')
  const typed = await shell.talk(['tokens', 'inspect'], [[/not shown\): $/, 'mcp_at_typed\r']])
  assert.equal(typed.code, 1)
  assert.match(typed.out, /This is no token/)
  assert.doesNotMatch(typed.out, /typed/)
  const stopped = await shell.talk(['tokens', 'revoke'], [[/not shown\): $/, controlC]])
  assert.deepEqual([stopped.code, /Cancelled\. Nothing was revoked\./.test(stopped.out)], [0, true])
})
