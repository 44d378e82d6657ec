import assert from 'node:assert/strict'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { isFault } from '../base/fault.ts'
import type { FaultCode } from '../base/fault.ts'
import { Secret } from '../base/secret.ts'
import type { SessionPrincipal } from '../people/principal.ts'
import { createJournal } from '../journal/entries.ts'
import { systemRandom } from '../base/random.ts'
import { wrongMax, wrongWindowMs } from './device-guesses.ts'
import { ask, browserOf, decide, enter, pollForm, registerForDevices, start } from './device.rig.ts'
import {
  createMachine,
  createRig,
  createTwins,
  form,
  isGood,
  refreshForm,
  refused,
  register,
  tokens,
} from './issuer.rig.ts'

import { deviceCodeGrant } from './metadata.ts'

const secondMs = 1000
const lifetimeMs = 600 * secondMs

onEveryDatabase('a device gets in by the code that its person types', async (t, store) => {
  verifies(t, 'S3-51', 'X-23')
  const rig = await createRig(t, store)
  const client = await registerForDevices(rig)
  const answer = await start(rig, client)
  assert.match(answer.device_code, /^mcp_dc_[\w-]{43}$/)
  assert.match(answer.user_code, /^[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}$/)
  const { device_code: _, user_code: __, ...rest } = answer
  assert.deepEqual(rest, {
    verification_uri: 'https://auth.test/device',
    expires_in: 600,
    interval: 5,
  })

  await refused(tokens(rig, pollForm(client, answer)), 'authorization_pending')
  const session = await rig.signIn()
  await decide(rig, session, answer)
  const { access, refresh, body } = await tokens(rig, pollForm(client, answer))
  assert.equal(body['scope'], 'mcp')
  assert.ok(await isGood(rig, access))
  assert.ok((await tokens(rig, refreshForm(client, refresh))).access)
  const principal = await rig.issuer.verify(
    rig.tenant,
    { token: new Secret(access) },
    'https://auth.test/mcp',
  )
  assert.equal(principal?.user?.id, session.user.id)
})

onEveryDatabase('one attempt is one line of time in the journal', async (t, store) => {
  const rig = await createRig(t, store)
  const client = await registerForDevices(rig)
  const session = await rig.signIn()
  const tell = async (decision: string) => {
    const answer = await start(rig, client)
    await decide(rig, session, answer, decision)
    const polled = tokens(rig, pollForm(client, answer))
    await (decision === 'approve' ? polled : refused(polled, 'device_denied'))
    const { id } = await rig.db
      .selectFrom('device_codes')
      .select('id')
      .orderBy('decided_at', 'desc')
      .orderBy('created_at', 'desc')
      .where('status', '=', decision === 'approve' ? 'approved' : 'denied')
      .executeTakeFirstOrThrow()
    const journal = createJournal({ ...rig, random: systemRandom })
    return (await journal.list({ tenantId: rig.tenant.id, attempt: id })).map(({ type }) => type)
  }
  assert.deepEqual(await tell('approve'), [
    'device.started',
    'device.claimed',
    'grant.created',
    'consent.given',
    'token.issued',
  ])
  assert.deepEqual(await tell('deny'), ['device.started', 'device.claimed', 'consent.denied'])
})

onEveryDatabase('the codes are stored as digests only', async (t, store) => {
  verifies(t, 'S3-43')
  const rig = await createRig(t, store)
  const client = await registerForDevices(rig)
  const answer = await start(rig, client)
  await decide(rig, await rig.signIn(), answer)
  const stored = JSON.stringify([
    await rig.db.selectFrom('device_codes').selectAll().execute(),
    await rig.db.selectFrom('journal_entries').selectAll().execute(),
  ])
  const { device_code: device, user_code: user } = answer
  for (const secret of [device, device.slice(7), user, user.replace('-', '')]) {
    assert.ok(!stored.includes(secret))
  }
})

onEveryDatabase('who may begin, and what may be asked for', async (t, store) => {
  verifies(t, 'S3-51', 'S3-45')
  const rig = await createRig(t, store)
  const client = await registerForDevices(rig)
  const table: readonly (readonly [Record<string, string | undefined>, FaultCode])[] = [
    [{ client_id: undefined }, 'invalid_client'],
    [{ client_id: 'mcp_oauth_nobody' }, 'invalid_client'],
    [{ client_secret: 'mcp_cs_x' }, 'invalid_client'],
    [{ scope: 'nonsense' }, 'invalid_scope'],
    [{ scope: 'memories:read' }, 'invalid_scope'],
    [{ resource: 'https://evil.test/mcp' }, 'invalid_target'],
    [{ resource: 'nonsense' }, 'invalid_target'],
  ]
  for (const [changes, code] of table) await refused(start(rig, client, changes), code)
  const type = { ...form({ client_id: client.id }), contentType: 'application/json' }
  await refused(rig.issuer.startDevice(rig.tenant, type), 'invalid_request')
  const twice = { ...form({}), body: `client_id=${client.id}&client_id=${client.id}` }
  await refused(rig.issuer.startDevice(rig.tenant, twice), 'invalid_request')

  const notes = await start(rig, client, { resource: 'https://auth.test/notes/mcp', scope: 'mcp' })
  await decide(rig, await rig.signIn(), notes)
  const { access } = await tokens(rig, pollForm(client, notes))
  assert.equal(await isGood(rig, access), false)
  assert.ok(await isGood(rig, access, 'https://auth.test/notes/mcp'))
})

onEveryDatabase('only a client that registered for it begins: X-23', async (t, store) => {
  verifies(t, 'S3-51', 'X-23')
  const rig = await createRig(t, store)
  const ordinary = await register(rig)
  await refused(start(rig, ordinary), 'unauthorized_client')
  await refused(tokens(rig, pollForm(ordinary, { device_code: 'mcp_dc_x' })), 'unauthorized_client')
  const machine = await createMachine(rig)
  await refused(start(rig, machine), 'unauthorized_client')
  const made = await createMachine(rig, { grantTypes: [deviceCodeGrant, 'refresh_token'] })
  await refused(start(rig, made, { client_secret: undefined }), 'invalid_client')
  await refused(start(rig, made, { client_secret: `${made.secret}x` }), 'invalid_client')
  const answer = await start(rig, made)
  await decide(rig, await rig.signIn(), answer)
  await refused(tokens(rig, pollForm(made, answer, { client_secret: 'x' })), 'invalid_client')
  assert.ok((await tokens(rig, pollForm(made, answer))).refresh)
})

onEveryDatabase('no implicit grant, as a grant type or as a response type', async (t, store) => {
  verifies(t, 'S3-51')
  const rig = await createRig(t, store)
  const client = await registerForDevices(rig)
  const implicit = form({ grant_type: 'implicit', client_id: client.id })
  await refused(rig.issuer.token(rig.tenant, implicit), 'unsupported_grant_type')
  await refused(registerForDevices(rig, { grant_types: ['implicit'] }), 'invalid_client_metadata')
  await refused(
    registerForDevices(rig, { grant_types: ['implicit'], response_types: ['token'] }),
    'invalid_client_metadata',
  )
  const { grant_types_supported: grants, response_types_supported: responses } =
    rig.issuer.metadata(rig.tenant)
  assert.ok(Array.isArray(grants) && grants.includes(deviceCodeGrant))
  assert.ok(!grants.includes('implicit'))
  assert.deepEqual(responses, ['code'])
})

onEveryDatabase('a device that asks too early waits longer: row 30', async (t, store) => {
  verifies(t, 'S3-51', 'T-30', 'X-23')
  const rig = await createRig(t, store)
  const client = await registerForDevices(rig)
  const answer = await start(rig, client)
  const poll = () => tokens(rig, pollForm(client, answer))

  await refused(poll(), 'authorization_pending')
  await rig.clock.advance(5 * secondMs)
  await refused(poll(), 'authorization_pending')
  await rig.clock.advance(5 * secondMs - 1)
  await refused(poll(), 'slow_down')
  // From now on ten seconds, counted from the poll that was too early.
  await rig.clock.advance(10 * secondMs - 1)
  await refused(poll(), 'slow_down')
  await rig.clock.advance(15 * secondMs - 1)
  await refused(poll(), 'slow_down')
  await rig.clock.advance(20 * secondMs)
  await refused(poll(), 'authorization_pending')
  await rig.clock.advance(20 * secondMs)
  await refused(poll(), 'authorization_pending')
  await refused(poll(), 'slow_down')

  await decide(rig, await rig.signIn(), answer)
  assert.ok((await poll()).access, 'a decision is told at once')
})

onEveryDatabase(
  'fifty polls at once: one in time, the others too fast',
  async (t, store, other) => {
    const [rig, twin] = await createTwins(t, store, other)
    const client = await registerForDevices(rig)
    const answer = await start(rig, client)
    const polls = Array.from({ length: 50 }, (_, index) =>
      tokens(index % 2 === 0 ? rig : twin, pollForm(client, answer)),
    )
    assert.deepEqual(count(await Promise.allSettled(polls)), {
      authorization_pending: 1,
      slow_down: 49,
    })
    const { interval_s } = await rig.db
      .selectFrom('device_codes')
      .select('interval_s')
      .executeTakeFirstOrThrow()
    assert.equal(interval_s, 5 + 49 * 5)
  },
)

onEveryDatabase('the last moment of a code and the first after it: row 30', async (t, store) => {
  verifies(t, 'T-30')
  const rig = await createRig(t, store)
  const client = await registerForDevices(rig)
  const session = await rig.signIn()
  const begin = async () => ({ answer: await start(rig, client) })
  const [redeemed, late, waiting, untyped] = [
    await begin(),
    await begin(),
    await begin(),
    await begin(),
  ]
  await decide(rig, session, redeemed.answer)
  await decide(rig, session, late.answer)
  const question = await ask(rig, session, waiting.answer)
  const yes = { decision: 'approve', formToken: question.formToken }

  await rig.clock.advance(lifetimeMs - 1)
  assert.ok((await tokens(rig, pollForm(client, redeemed.answer))).access)
  await refused(tokens(rig, pollForm(client, waiting.answer)), 'authorization_pending')
  await rig.clock.advance(1)
  for (const { answer } of [late, waiting, untyped]) {
    await refused(tokens(rig, pollForm(client, answer)), 'expired_token')
  }
  const { requestId } = question.view
  await refused(rig.issuer.devices.look(session, requestId), 'authorization_timeout')
  await refused(rig.issuer.devices.decide(session, requestId, yes), 'authorization_timeout')
  assertHint(await enter(rig, session, untyped.answer.user_code), /too old/)
  await refused(tokens(rig, pollForm(client, late.answer)), 'expired_token')
})

onEveryDatabase('a person who says no: row 30', async (t, store) => {
  verifies(t, 'S3-51', 'T-30')
  const rig = await createRig(t, store)
  const client = await registerForDevices(rig)
  const answer = await start(rig, client)
  const session = await rig.signIn()
  await decide(rig, session, answer, 'deny')
  for (let polls = 0; polls < 2; polls += 1) {
    await refused(tokens(rig, pollForm(client, answer)), 'device_denied')
  }
  assert.deepEqual(await rig.db.selectFrom('grants').selectAll().execute(), [])
  assertHint(await enter(rig, session, answer.user_code), /answered already/)
})

onEveryDatabase(
  'a code of another client: it learns nothing and changes nothing',
  async (t, store) => {
    verifies(t, 'X-23', 'P-102')
    const rig = await createRig(t, store)
    const [client, other] = [
      await registerForDevices(rig),
      await registerForDevices(rig, { client_name: 'Another' }),
    ]
    const answer = await start(rig, client)
    const foreign = () => refused(tokens(rig, pollForm(other, answer)), 'invalid_grant')
    const rows = () => rig.db.selectFrom('device_codes').selectAll().execute()

    const before = await rows()
    await foreign()
    await foreign()
    assert.deepEqual(await rows(), before, 'not even a poll was noted')
    await decide(rig, await rig.signIn(), answer)
    await foreign()
    const { access } = await tokens(rig, pollForm(client, answer))
    await foreign()
    assert.ok(await isGood(rig, access), 'the grant did not end')
    await refused(tokens(rig, pollForm(client, { device_code: 'mcp_dc_x' })), 'invalid_grant')
    await refused(
      tokens(rig, pollForm(client, answer, { device_code: undefined })),
      'invalid_request',
    )
  },
)

onEveryDatabase('a refusal of scope or resource does not spend the code', async (t, store) => {
  const rig = await createRig(t, store)
  const client = await registerForDevices(rig)
  const answer = await start(rig, client)
  await decide(rig, await rig.signIn(), answer)
  const poll = (changes: Record<string, string>) => tokens(rig, pollForm(client, answer, changes))
  await refused(poll({ scope: 'mcp memories:read' }), 'invalid_scope')
  await refused(poll({ resource: 'https://auth.test/notes/mcp' }), 'invalid_target')
  assert.ok((await poll({ resource: 'https://auth.test/mcp' })).access)
})

onEveryDatabase('a code that comes back ends what it gave', async (t, store) => {
  verifies(t, 'X-23')
  const rig = await createRig(t, store)
  const client = await registerForDevices(rig)
  const answer = await start(rig, client)
  await decide(rig, await rig.signIn(), answer)
  const { access, refresh } = await tokens(rig, pollForm(client, answer))
  await rig.clock.advance(2 * lifetimeMs)
  await refused(tokens(rig, pollForm(client, answer)), 'invalid_grant')
  assert.equal(await isGood(rig, access), false)
  await refused(tokens(rig, refreshForm(client, refresh)), 'invalid_grant')
  await refused(tokens(rig, pollForm(client, answer)), 'invalid_grant')
  const types = await rig.journalTypes()
  assert.equal(types.filter((type) => type === 'token.reuse_detected').length, 1)
  const grant = await rig.db.selectFrom('grants').selectAll().executeTakeFirstOrThrow()
  assert.equal(grant.revoke_reason, 'device_code_replayed')
})

onEveryDatabase(
  'fifty redemptions of one code at once, in two processes, have one winner',
  async (t, store, openAnother) => {
    verifies(t, 'X-23')
    const [rig, other] = await createTwins(t, store, openAnother)
    const client = await registerForDevices(rig)
    const answer = await start(rig, client)
    await decide(rig, await rig.signIn(), answer)
    const attempts = Array.from({ length: 50 }, (_, index) =>
      tokens(index % 2 === 0 ? rig : other, pollForm(client, answer)),
    )
    assert.deepEqual(count(await Promise.allSettled(attempts)), { fulfilled: 1, invalid_grant: 49 })
    const stored = await rig.db.selectFrom('access_tokens').selectAll().execute()
    assert.equal(stored.length, 1)
  },
)

onEveryDatabase('only the session that typed the code decides: P-48', async (t, store) => {
  verifies(t, 'P-48', 'X-23')
  const rig = await createRig(t, store)
  const client = await registerForDevices(rig)
  const answer = await start(rig, client)
  const [session, other] = [await rig.signIn(), await rig.signIn('eve')]
  const { view, formToken } = await ask(rig, session, answer)
  const { devices } = rig.issuer

  // Whose it is already is told to nobody: it is a wrong code like any other.
  assertHint(await enter(rig, other, answer.user_code), /No device waits/)
  assert.equal(await devices.look(other, view.requestId), undefined)
  for (const decision of ['approve', 'deny']) {
    await refused(devices.decide(other, view.requestId, { decision, formToken }), 'forbidden')
  }
  // Not even another session of the same person, such as one that somebody planted.
  const second = await rig.signIn()
  await refused(
    devices.decide(second, view.requestId, { decision: 'approve', formToken }),
    'forbidden',
  )
  await refused(tokens(rig, pollForm(client, answer)), 'authorization_pending')

  for (const [decision, token] of [
    ['approve', `${formToken}x`],
    ['approve', ''],
    ['Approve', formToken],
    ['', formToken],
  ] as const) {
    await refused(
      devices.decide(session, view.requestId, { decision, formToken: token }),
      'bad_form',
    )
  }
  await devices.decide(session, view.requestId, { decision: 'approve', formToken })
  for (const decision of ['approve', 'deny']) {
    await refused(devices.decide(session, view.requestId, { decision, formToken }), 'gone')
  }
  await refused(devices.decide(session, 'dvc_nothing', { decision: 'deny', formToken }), 'gone')
  assert.ok((await tokens(rig, pollForm(client, answer))).access)
})

onEveryDatabase('the form of one device does not answer for another', async (t, store) => {
  const rig = await createRig(t, store)
  const client = await registerForDevices(rig)
  const session = await rig.signIn()
  const [one, two] = [
    await ask(rig, session, await start(rig, client)),
    await ask(rig, session, await start(rig, client)),
  ]
  const form = { decision: 'approve', formToken: one.formToken }
  await refused(rig.issuer.devices.decide(session, two.view.requestId, form), 'bad_form')
})

onEveryDatabase('who changes the account in a browser types the code again', async (t, store) => {
  verifies(t, 'P-48')
  const rig = await createRig(t, store)
  const client = await registerForDevices(rig)
  const answer = await start(rig, client)
  const [first, second] = [await rig.signIn(), await rig.signIn('eve')]
  const browser = browserOf(first)
  const { view, formToken } = await ask(rig, first, answer)
  const again = await enter(rig, second, answer.user_code, { browser })
  assert.deepEqual(again, { kind: 'taken', id: view.requestId })
  const form = { decision: 'approve', formToken }
  await refused(rig.issuer.devices.decide(first, view.requestId, form), 'forbidden')
  await refused(rig.issuer.devices.decide(second, view.requestId, form), 'bad_form')
  const step = await rig.issuer.devices.look(second, view.requestId)
  assert.ok(step?.kind === 'question')
  assert.equal(step.view.userEmail, 'eve@example.test')
  await rig.issuer.devices.decide(second, view.requestId, { ...form, formToken: step.formToken })
  const grant = await rig.db.selectFrom('grants').selectAll().executeTakeFirstOrThrow()
  assert.equal(grant.user_id, second.user.id)
})

onEveryDatabase('fifty people type one code at once: one has it', async (t, store, openAnother) => {
  verifies(t, 'P-48')
  const [rig, other] = await createTwins(t, store, openAnother)
  const { user_code: code } = await start(rig, await registerForDevices(rig))
  const sessions: SessionPrincipal[] = []
  for (let person = 0; person < 50; person += 1) sessions.push(await rig.signIn(`p${person}`))
  const entered = await Promise.all(
    sessions.map((session, index) => enter(index % 2 === 0 ? rig : other, session, code)),
  )
  assert.equal(entered.filter(({ kind }) => kind === 'taken').length, 1)
  const { session_digest } = await rig.db
    .selectFrom('device_codes')
    .select('session_digest')
    .executeTakeFirstOrThrow()
  const winner = sessions[entered.findIndex(({ kind }) => kind === 'taken')]
  assert.equal(session_digest, winner?.sessionDigest)
})

onEveryDatabase('fifty decisions at once: one counts', async (t, store) => {
  const rig = await createRig(t, store)
  const client = await registerForDevices(rig)
  const session = await rig.signIn()
  const { view, formToken } = await ask(rig, session, await start(rig, client))
  const decisions = Array.from({ length: 50 }, (_, index) =>
    rig.issuer.devices.decide(session, view.requestId, {
      decision: index % 2 === 0 ? 'approve' : 'deny',
      formToken,
    }),
  )
  assert.deepEqual(count(await Promise.allSettled(decisions)), { fulfilled: 1, gone: 49 })
  const grants = await rig.db.selectFrom('grants').selectAll().execute()
  const { status } = await rig.db
    .selectFrom('device_codes')
    .select('status')
    .executeTakeFirstOrThrow()
  assert.equal(grants.length, status === 'approved' ? 1 : 0)
})

onEveryDatabase('wrong codes run out, and are in the journal: X-23', async (t, store) => {
  verifies(t, 'X-23')
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  for (let misread = 0; misread < 2 * wrongMax; misread += 1) {
    assertHint(await enter(rig, session, 'WDJB-MJH0'), /may be/)
  }
  for (let wrong = 0; wrong < wrongMax; wrong += 1) {
    assertHint(await enter(rig, session, 'BBBB-BBBB'), /No device waits/)
  }
  await refused(enter(rig, session, 'BBBB-BBBB'), 'too_many_requests')
  await refused(enter(rig, await rig.signIn(), 'BBBB-BBBB'), 'too_many_requests')
  const answer = await start(rig, await registerForDevices(rig))
  await refused(enter(rig, session, answer.user_code), 'too_many_requests')
  await rig.clock.advance(wrongWindowMs)
  const types = await rig.journalTypes()
  assert.equal(types.filter((type) => type === 'device.code_refused').length, wrongMax)
  const next = await start(rig, await registerForDevices(rig))
  assert.equal((await enter(rig, session, next.user_code)).kind, 'taken')
})

onEveryDatabase(
  'a code that many guessed at does not count any more, and the next one does: X-23',
  async (t, store) => {
    verifies(t, 'X-23')
    const rig = await createRig(t, store)
    const client = await registerForDevices(rig)
    const guess = async (many: number, name: string) => {
      const guesser = await rig.signIn(name)
      for (let wrong = 0; wrong < many; wrong += 1) await enter(rig, guesser, 'BBBB-BBBB')
    }
    const session = await rig.signIn()
    await guess(wrongMax, 'before')
    const good = await start(rig, client)
    await guess(wrongMax - 1, 'eve')
    assert.equal((await enter(rig, session, good.user_code)).kind, 'taken')

    const bad = await start(rig, client)
    await guess(wrongMax, 'mallory')
    assertHint(await enter(rig, session, bad.user_code), /shows a new one/)
    await refused(tokens(rig, pollForm(client, bad)), 'expired_token')
    assert.equal((await enter(rig, session, (await start(rig, client)).user_code)).kind, 'taken')
  },
)

onEveryDatabase('what the person is shown', async (t, store) => {
  verifies(t, 'X-23', 'S3-25')
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const shown = async (client: Awaited<ReturnType<typeof registerForDevices>>) => {
    const answer = await start(rig, client)
    await rig.clock.advance(61 * secondMs)
    const { view } = await ask(rig, session, answer)
    assert.equal(view.userCode, answer.user_code)
    return view
  }
  const view = await shown(await registerForDevices(rig))
  assert.equal(view.clientName, 'A television')
  assert.equal(view.userEmail, 'ada@example.test')
  assert.equal(view.serverName, 'All of it')
  assert.deepEqual(view.standing, { kind: 'unknown' })
  assert.deepEqual(view.origin, { address: '203.0.113.9', agent: 'television/1.0' })
  assert.equal(view.askedMsAgo, 61 * secondMs)
  assert.deepEqual(
    view.scopes.map(({ name }) => name),
    ['mcp'],
  )

  const claude = await shown(await registerForDevices(rig, { client_name: 'Claude Code' }))
  assert.deepEqual(claude.standing, { kind: 'pretender', name: 'Claude Code' })
  const grantTypes = [deviceCodeGrant] as const
  const made = await shown(await createMachine(rig, { grantTypes }))
  assert.deepEqual(made.standing, { kind: 'made_here' })
  const open = await shown(await createMachine(rig, { grantTypes, authMethod: 'none' }))
  assert.deepEqual(open.standing, { kind: 'unknown' }, 'anybody can present a public id')
})

onEveryDatabase(
  'what a device says of itself is one short line without a secret',
  async (t, store) => {
    const rig = await createRig(t, store)
    const client = await registerForDevices(rig)
    const session = await rig.signIn()
    const agents: readonly (readonly [string, string | undefined])[] = [
      ['curl/8\u202e\n<b>', 'curl/8 <b>'],
      ['x'.repeat(5000), 'x'.repeat(64)],
      [`mcp_at_${'x'.repeat(43)}`, undefined],
      ['', undefined],
    ]
    for (const [agent, kept] of agents) {
      const body = form({ client_id: client.id })
      const answer = await rig.issuer.startDevice(rig.tenant, body, { agent, address: undefined })
      const { view } = await ask(rig, session, answer)
      assert.deepEqual(view.origin, { address: undefined, agent: kept })
    }
  },
)

onEveryDatabase('client, server and person may go while a person thinks', async (t, store) => {
  verifies(t, 'P-109')
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const client = await registerForDevices(rig)
  const answer = await start(rig, client)
  const { view, formToken } = await ask(rig, session, answer)
  const yes = () =>
    rig.issuer.devices.decide(session, view.requestId, { decision: 'approve', formToken })
  const set = (values: { disabled_at?: number | null; metadata_digest?: string }) =>
    rig.db.updateTable('clients').set(values).where('id', '=', client.id).execute()

  await set({ disabled_at: 1 })
  await refused(yes(), 'unauthorized_client')
  await set({ disabled_at: null, metadata_digest: 'another' })
  await refused(yes(), 'bad_form')
  const again = await rig.issuer.devices.look(session, view.requestId)
  assert.ok(again?.kind === 'question')
  const { formToken: fresh } = again
  await rig.issuer.devices.decide(session, view.requestId, {
    decision: 'approve',
    formToken: fresh,
  })
  await rig.db.updateTable('users').set({ disabled_at: 1 }).execute()
  await refused(tokens(rig, pollForm(client, answer)), 'invalid_grant')
  await rig.db.updateTable('users').set({ disabled_at: null }).execute()
  const {
    items: [grant],
  } = await rig.issuer.grants.list(session)
  await rig.issuer.grants.revoke(session, grant?.id ?? '')
  await refused(tokens(rig, pollForm(client, answer)), 'invalid_grant')
})

onEveryDatabase('a device of one tenant is nobody in another', async (t, store) => {
  verifies(t, 'S4-15')
  const rig = await createRig(t, store)
  const client = await registerForDevices(rig)
  const answer = await start(rig, client)
  const elsewhere = { ...rig.tenant, id: 'ten_other', issuer: 'https://other.test' }
  await rig.db
    .insertInto('tenants')
    .values({
      id: 'ten_other',
      slug: 'other',
      issuer: elsewhere.issuer,
      name: 'Other',
      created_at: 1,
    })
    .execute()
  await refused(start({ ...rig, tenant: elsewhere }, client), 'invalid_client')
  const there = await register(
    { ...rig, tenant: elsewhere },
    { grant_types: [deviceCodeGrant], redirect_uris: [] },
  )
  await refused(tokens({ ...rig, tenant: elsewhere }, pollForm(there, answer)), 'invalid_grant')
})

onEveryDatabase('what is over is swept, and a waiting client is not', async (t, store) => {
  const rig = await createRig(t, store)
  const client = await registerForDevices(rig)
  await start(rig, client)
  await enter(rig, await rig.signIn(), 'BBBB-BBBB')
  const dayMs = 24 * 3_600_000
  const sweep = () => rig.issuer.sweep(rig.clock.now())
  await rig.db
    .updateTable('clients')
    .set({ registered_at: rig.clock.now() - dayMs })
    .execute()
  assert.equal((await sweep()).clients, 0, 'its device waits')

  await rig.clock.advance(wrongWindowMs)
  const soon = await sweep()
  assert.deepEqual([soon.deviceCodes, soon.deviceGuesses], [0, 1])
  await rig.clock.advance(dayMs - 1)
  assert.equal((await sweep()).deviceCodes, 0)
  await rig.clock.advance(1)
  const late = await rig.db.selectFrom('device_codes').selectAll().execute()
  assert.ok(late.length <= 1)
  await sweep()
  assert.deepEqual(await rig.db.selectFrom('device_codes').selectAll().execute(), [])
})

function assertHint(entered: Awaited<ReturnType<typeof enter>>, hint: RegExp): void {
  assert.ok(entered.kind === 'refused')
  assert.match(entered.hint, hint)
}

/** How many there were of each outcome. */
function count(outcomes: readonly PromiseSettledResult<unknown>[]): Record<string, number> {
  const names = outcomes.map((outcome) => {
    if (outcome.status === 'fulfilled') return 'fulfilled'
    return isFault(outcome.reason) ? outcome.reason.code : String(outcome.reason)
  })
  return Object.fromEntries(
    [...Map.groupBy(names, (name) => name)].map(([name, all]) => [name, all.length]),
  )
}
