// `latchkey clients …` beside a running server, and its questions.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { createOne } from '../../src/cli/client-creation.ts'
import type { CreateOptions } from '../../src/cli/client-questions.ts'
import { readConfig } from '../../src/config.ts'
import { openWorkshop } from '../../src/workshop.ts'
import { operator } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { openBeside, openShell } from './command.ts'
import type { Shell } from './command.ts'

const callbacks = [
  'https://claude.ai/api/mcp/auth_callback',
  'https://claude.com/api/mcp/auth_callback',
]
const flags = ['--name', 'Claude', '--redirect-uri', callbacks.join(','), '--scope', 'mcp']

test('a running server sees at once what the command line does to a client', async (t) => {
  verifies(t, 'A3-2', 'S3-40')
  const shell = await openShell(t)
  await shell.start()
  const printed = await shell.run('clients', 'create', ...flags, '--user', operator.email)
  assert.equal(printed.code, 0, printed.error)
  const id = /mcp_oauth_[0-9a-z]{24,}/.exec(printed.out)?.[0] ?? ''
  const secrets = printed.out.match(/mcp_cs_[\w-]{43}/g) ?? []
  assert.equal(secrets.length, 1, 'the secret is printed once')
  for (const field of [
    /^ +Name: +Claude$/m,
    new RegExp(`^ +Authorization URL: +${shell.origin}/oauth/authorize$`, 'm'),
    new RegExp(`^ +Token URL: +${shell.origin}/oauth/token$`, 'm'),
    new RegExp(`^ +Client ID: +${id}$`, 'm'),
    /^ +Client Secret: +mcp_cs_/m,
    /^ +Scopes: +mcp$/m,
    new RegExp(`^ +API Base URL: +${shell.origin}$`, 'm'),
    /^ +Authentication: +OAuth 2\.0$/m,
  ]) {
    assert.match(printed.out, field)
  }
  const [first = ''] = secrets
  assert.equal(await proves(shell, id, first), true)
  assert.equal(await proves(shell, id, `${first}x`), false)

  const rotated = await shell.json('clients', 'rotate-secret', id)
  assert.equal(await proves(shell, id, rotated.clientSecret), true)
  assert.equal(await proves(shell, id, first), true)
  const last = await shell.json('clients', 'rotate-secret', id, '--overlap-hours', '0')
  assert.equal(await proves(shell, id, rotated.clientSecret), false)
  assert.equal(await proves(shell, id, last.clientSecret), true)

  await shell.json('clients', 'disable', id)
  assert.equal(await proves(shell, id, last.clientSecret), false)
  const { items } = await shell.json('clients', 'list')
  assert.deepEqual(
    items.map((client: { id: string; disabled: boolean }) => [client.id, client.disabled]),
    [[id, true]],
  )
  assert.match(items[0].createdBy, /^usr_/)
  await shell.json('clients', 'enable', id)
  assert.equal(await proves(shell, id, last.clientSecret), true)
  assert.doesNotMatch((await shell.run('clients', 'list')).out, /mcp_cs_/)

  const bound = await shell.json('clients', 'create', ...flags, '--dpop')
  assert.equal(bound.dpopBoundAccessTokens, true)
})

test('a client for devices needs no address to be answered at', async (t) => {
  verifies(t, 'S3-51')
  const shell = await openShell(t)
  await shell.run('migrate')
  const grantTypes = ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token']
  const made = await shell.json(
    'clients',
    'create',
    '--name',
    'A television',
    '--grant-type',
    grantTypes.join(','),
  )
  assert.deepEqual([made.redirectUris, made.grantTypes.toSorted()], [[], grantTypes.toSorted()])
})

test('a program is told how it gets a token, with its secret in no command', async (t) => {
  const shell = await openShell(t)
  await shell.start()
  const robot = ['clients', 'create', '--name', 'Robot', '--grant-type', 'client_credentials']
  const printed = await shell.run(...robot)
  assert.equal(printed.code, 0, printed.error)
  assert.doesNotMatch(printed.out, /Claude|Authorization URL/)
  assert.match(printed.out, /^ +Token URL: +http:\S+\/oauth\/token$/m)
  const secret = printed.out.match(/mcp_cs_[\w-]{43}/g) ?? []
  assert.equal(secret.length, 1, 'the secret is printed once')

  for (const method of ['client_secret_basic', 'client_secret_post']) {
    const made = await shell.json(...robot, '--auth-method', method)
    assert.equal(made.connector, undefined)
    const [command = ''] = commandsOf(made).slice(-1)
    assert.doesNotMatch(command, /mcp_cs_/)
    const answer = await runInShell(command, { LATCHKEY_CLIENT_SECRET: made.clientSecret })
    assert.match(answer['access_token'] ?? '', /^mcp_at_/, method)
    assert.equal(
      (await runInShell(command, { LATCHKEY_CLIENT_SECRET: 'x' }))['error'],
      'invalid_client',
    )
    assert.match((await shell.run(...robot, '--auth-method', method)).out, /^ +printf .+ \| curl /m)
  }
  const bound = await shell.json(...robot, '--dpop')
  assert.deepEqual(commandsOf(bound), [], 'curl makes no proof of a key')
})

test('a device is told how it begins and where its person goes', async (t) => {
  const shell = await openShell(t)
  await shell.start()
  const grantType = 'urn:ietf:params:oauth:grant-type:device_code'
  const television = ['clients', 'create', '--name', 'A television', '--grant-type', grantType]
  for (const method of ['none', 'client_secret_basic', 'client_secret_post']) {
    const made = await shell.json(...television, '--auth-method', method)
    assert.equal(made.connector, undefined)
    const [begin = '', poll = ''] = commandsOf(made).slice(-2)
    const environment = { LATCHKEY_CLIENT_SECRET: made.clientSecret ?? '' }
    const begun = await runInShell(begin, environment)
    assert.equal(begun['verification_uri'], `${shell.origin}/device`, JSON.stringify(begun))
    const code = { ...environment, device_code: begun['device_code'] }
    assert.equal((await runInShell(poll, code)).error, 'authorization_pending')
  }
  const printed = await shell.run(...television, '--auth-method', 'none')
  assert.doesNotMatch(printed.out, /Claude|Authorization URL|LATCHKEY_CLIENT_SECRET/)
  assert.match(printed.out, new RegExp(`A person opens ${shell.origin}/device`))
})

test('what cannot be done is said in words, changes nothing, and ends with 1', async (t) => {
  const shell = await openShell(t)
  const nowhere = await shell.run('clients', 'list')
  assert.equal(nowhere.code, 1)
  assert.match(nowhere.error, /There is no Latchkey in .+data\./)
  assert.equal((await shell.run('migrate')).code, 0)
  for (const [words, says] of [
    [['create'], /--name and --redirect-uri/],
    [['create', '--name', 'x'], /--name and --redirect-uri/],
    [['create', '--name', '', '--redirect-uri', 'https://a.test/'], /name must not be empty/],
    [['create', '--name', 'x', '--redirect-uri', ','], /At least one redirect URI/],
    [
      ['create', '--name', 'x', '--redirect-uri', 'https://a.test/#f'],
      /^Something in this request cannot be used\.\n {2}redirectUris: redirect URI 1 has a fragment\.\n$/,
    ],
    [['create', ...flags, '--user', ''], /user must not be empty/],
    [['create', ...flags, '--user', 'nobody@example.com'], /There is no user nobody@example.com/],
    [
      ['create', ...flags, '--scope', 'nonsense'],
      /^ {2}scopes: One of these scopes does not exist here\.$/m,
    ],
    [['create', ...flags, '--auth-method', 'nonsense'], /--auth-method is one of none,/],
    [['create', ...flags, '--grant-type', 'implicit'], /--grant-type is one or more of/],
    [['disable', 'mcp_oauth_x'], /There is no client mcp_oauth_x/],
    [['rotate-secret', 'mcp_oauth_x'], /There is no client mcp_oauth_x/],
    [['rotate-secret', 'x', '--overlap-hours', 'x'], /from 0 to 720/],
  ] as const) {
    const { code, out, error } = await shell.run('clients', ...words)
    assert.deepEqual([code, out], [1, ''], words.join(' '))
    assert.match(error, says)
    assert.doesNotMatch(error, /\bat .+:\d+|node_modules/)
  }
  assert.deepEqual(await shell.json('clients', 'list'), { items: [] })
})

test('a service that exchanges tokens is made in one line, without a redirect URI', async (t) => {
  const shell = await openShell(t)
  assert.equal((await shell.run('migrate')).code, 0)
  const grantType = 'urn:ietf:params:oauth:grant-type:token-exchange'
  const [resource, reached] = ['https://a.test/notes/mcp', 'https://a.test/files/mcp']
  const described = ['--name', 'Notes', '--grant-type', grantType, '--resource', resource]
  const reach = ['--may-reach', `${reached},${resource}`]
  const made = await shell.json('clients', 'create', ...described, ...reach)
  assert.deepEqual(made.grantTypes, [grantType])
  assert.deepEqual([made.resource, made.mayReach], [resource, [reached, resource]])
  assert.match(made.clientSecret, /^mcp_cs_/)
})

onEveryDatabase(
  'a person is asked for what is missing; only yes makes a client',
  async (t, store) => {
    verifies(t, 'S3-36', 'A3-2')
    const shell = await openShell(t)
    const config = readConfig(shell.environment)
    const workshop = await openWorkshop(config, { store })
    t.after(workshop.close)
    const { users, tenant } = workshop
    const person = await users.create({ tenant, email: operator.email, role: 'operator' })
    const answers = ['Claude', callbacks.join(', '), '', person.id]
    const wrong = [
      [0, ['', '  '], /must not be empty/],
      [1, [' , ', 'https://a.test/#f', 'nonsense'], /At least one redirect URI|redirect URI 1 /],
      [2, ['nonsense'], /One of these scopes does not exist here/],
      [3, ['', 'nobody@example.com'], /must not be empty|There is no user nobody@/],
    ] as const
    const clients = async () => (await workshop.issuer.clients.list({ tenant })).items

    const create = async (given: readonly (string | undefined)[], options: CreateOptions = {}) => {
      const printed: string[] = []
      const rest = [...given]
      const terminal = {
        isInteractive: true,
        print: (text: string) => void printed.push(text),
        note: (text: string) => void printed.push(text),
        ask: async () => rest.shift()?.trim(),
      }
      await createOne({ workshop, terminal }, options)
      assert.equal(rest.length, 0, 'every answer was asked for')
      return printed.join('\n')
    }
    for (const answer of ['no', 'n', '', 'yess', 'ja', undefined]) {
      const printed = await create([...answers, answer])
      assert.match(printed, /Cancelled\. Nothing was made\.$/)
      assert.doesNotMatch(printed, /mcp_cs_|mcp_oauth_/)
    }
    for (let count = 0; count < answers.length; count += 1) {
      assert.match(await create([...answers.slice(0, count), undefined]), /^Cancelled/)
    }
    for (const [index, refused, says] of wrong) {
      const before = answers.slice(0, index)
      const printed = await create([...before, ...refused, undefined])
      assert.equal(printed.match(new RegExp(says, 'g'))?.length, refused.length, printed)
      assert.match(printed, /Cancelled\. Nothing was made\.$/)
      const fiveTimes = Array.from({ length: 5 }, () => refused[0])
      await assert.rejects(create([...before, ...fiveTimes]), says)
    }
    assert.deepEqual(await clients(), [], 'no leaves nothing behind')
    assert.deepEqual(await store.db.selectFrom('client_secrets').selectAll().execute(), [])

    for (const answer of ['yes', 'Y']) {
      const printed = await create([...answers, answer])
      assert.equal(printed.match(/mcp_cs_[\w-]{43}/g)?.length, 1)
    }
    const corrected = wrong.flatMap(([index, refused]) => [refused, answers[index]]).flat()
    assert.match(await create([...corrected, 'yes']), /mcp_cs_/)
    for (const made of await clients()) {
      assert.deepEqual(made.redirectUris, callbacks)
      assert.deepEqual(made.scopes, ['mcp'])
      assert.equal(made.createdBy, person.id)
    }
    await create(['https://a.test/cb', '', person.id, 'yes'], { name: 'Named by a flag' })
    assert.equal((await clients()).length, 4)
  },
)

test('cleanup prints how many expired rows went', async (t) => {
  verifies(t, 'S3-38', 'A3-11')
  const shell = await openShell(t)
  const { db } = await seed(t, shell)
  const printed = await shell.run('cleanup')
  assert.equal(printed.code, 0, printed.error)
  assert.match(printed.out, /^ +1 +authorization codes$/m)
  assert.match(printed.out, /^ +1 +access tokens$/m)
  assert.match(printed.out, /^ +1 +refresh tokens$/m)
  const left = async (table: 'codes' | 'access_tokens' | 'refresh_tokens') =>
    (await db.selectFrom(table).select('expires_at').execute()).length
  assert.deepEqual(
    [await left('codes'), await left('access_tokens'), await left('refresh_tokens')],
    [1, 1, 1],
    'what lives stays',
  )
  const again = await shell.json('cleanup')
  const [, ...lines] = printed.out.trim().split('\n')
  assert.equal(lines.length, Object.keys(again).length, 'nothing is deleted without a word')
  assert.ok(Object.values(again).every((count) => count === 0))
})

interface Guided {
  readonly program: { readonly steps: readonly { readonly command?: string }[] }
}

function commandsOf({ program }: Guided): readonly string[] {
  return program.steps.flatMap(({ command }) => command ?? [])
}

/** Runs a printed command as a person would, and reads the JSON that it prints. */
async function runInShell(command: string, environment: NodeJS.ProcessEnv) {
  const run = promisify(execFile)
  const env = { PATH: process.env['PATH'] ?? '', ...environment }
  const { stdout } = await run('sh', ['-c', command], { env })
  return JSON.parse(stdout) as Readonly<Record<string, string>> // RFC 6749 §5, RFC 8628 §3.2
}

/** Does the running server take this secret for the client's? A wrong code is only looked at after that. */
async function proves(shell: Shell, id: string, secret: string): Promise<boolean> {
  const basic = Buffer.from(`${id}:${secret}`).toString('base64')
  const answer = await fetch(`${shell.origin}/oauth/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${basic}` },
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code: 'auth_nobody',
      code_verifier: 'v'.repeat(64),
      redirect_uri: callbacks[0] ?? '',
    }),
  })
  const { error } = (await answer.json()) as { readonly error: string } // RFC 6749 §5.2
  assert.ok(['invalid_grant', 'invalid_client'].includes(error), error)
  return error === 'invalid_grant'
}

/** A grant with one expired and one living row of each kind; the database is open beside the command. */
async function seed(t: TestContext, shell: Shell) {
  await shell.run('migrate')
  const { db, tenant, issuer } = await openBeside(t, shell)
  const { client } = await issuer.clients.create(
    { tenant },
    {
      name: 'x',
      redirectUris: callbacks,
    },
  )
  const common = { tenant_id: tenant.id, grant_id: 'grt_1', client_id: client.id, created_at: 1 }
  await db
    .insertInto('grants')
    .values({
      tenant_id: tenant.id,
      id: 'grt_1',
      user_id: null,
      client_id: client.id,
      resource: `${shell.origin}/mcp`,
      scope: 'mcp',
      created_at: 1,
      first_used_at: null,
      last_used_at: null,
      use_count: 0,
      revoked_at: null,
      revoke_reason: null,
    })
    .execute()
  for (const expires_at of [1000, Date.now() + 3_600_000]) {
    const row = { ...common, expires_at }
    const spend = { claimed_at: null, redirect_uri: 'https://a.test/', code_challenge: 'c' }
    await db
      .insertInto('codes')
      .values({ ...row, ...spend, code_digest: `c${expires_at}` })
      .execute()
    await db
      .insertInto('access_tokens')
      .values({
        ...row,
        token_digest: `a${expires_at}`,
        user_id: null,
        scope: 'mcp',
        resource: `${shell.origin}/mcp`,
        revoked_at: null,
      })
      .execute()
    await db
      .insertInto('refresh_tokens')
      .values({
        ...row,
        token_digest: `r${expires_at}`,
        generation: expires_at === 1000 ? 0 : 1,
        claimed_at: null,
        replay_sealed: null,
        replay_until: null,
      })
      .execute()
  }
  return { db }
}
