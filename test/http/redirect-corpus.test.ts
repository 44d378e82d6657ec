// Every door that takes a redirect URI, tried with the whole corpus (threats 1c): the exact refusal of that door, nothing
// written, and nobody sent there; what may be used is used (P-05, P-25).
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import { isFault } from '../../src/base/fault.ts'
import { createOne } from '../../src/cli/client-creation.ts'
import { readConfig } from '../../src/config.ts'
import {
  acceptableRedirectUris,
  loopbackRedirectUris,
  malformedRedirectUris,
  mismatchedRedirectUris,
  registeredRedirectUri,
} from '../../src/oauth/redirect-uri.corpus.ts'
import { openWorkshop } from '../../src/workshop.ts'
import { openStore } from '../../src/store/database.ts'
import type { Store } from '../../src/store/database.ts'
import { listenOnLoopback } from '../counterparts/loopback.ts'
import { operator, signIn } from '../harness.ts'
import { verifies } from '../requirements.ts'
import { assertAnswer, openDoors } from './doors.ts'
import type { Answer, Doors, Expected } from './doors.ts'
import {
  authorizePath,
  challenge,
  obtainCode,
  otherRedirectUri,
  redeem,
  register,
} from './oauth-client.ts'
import type { OAuthClient } from './oauth-client.ts'

const { everyone, nativeOnly } = acceptableRedirectUris

/** A door at which a client says where it may be answered. */
interface Registering {
  readonly refusal: Expected
  readonly accepted: number
  /** Those that it takes; a door at which nobody says what kind of client it is infers it. */
  readonly acceptable?: readonly string[]
  readonly tell: (redirectUri: string) => Promise<Answer>
}

const noLocation = { hasNot: ['location'] } as const

async function walkRegistering(
  t: TestContext,
  { store }: Doors,
  { refusal, accepted, acceptable = [...everyone, ...nativeOnly], tell }: Registering,
): Promise<void> {
  await t.test('none of the malformed ones', async (t) => {
    verifies(t, 'P-05', 'P-25', 'X-01', 'S3-18')
    const before = await clientsIn(store)
    for (const uri of malformedRedirectUris) {
      await labelled(uri, async () => assertAnswer(await tell(uri), { ...refusal, ...noLocation }))
    }
    assert.deepEqual(await clientsIn(store), before)
  })
  await t.test('each of the acceptable ones', async () => {
    for (const uri of acceptable) {
      await labelled(uri, async () => assert.equal((await tell(uri)).status, accepted))
    }
  })
}

function clientsIn({ db }: Store) {
  return db.selectFrom('clients').selectAll().orderBy('id').execute()
}

/** Says which row of the corpus it was. */
async function labelled(uri: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (cause) {
    throw new Error(`with ${JSON.stringify(uri.slice(0, 200))}`, { cause })
  }
}

const badAddress: Expected = { status: 400, error: 'invalid_redirect_uri' }
const badInput: Expected = { status: 422, error: 'invalid_input' }

test('a client that registers itself', async (t) => {
  const doors = await openDoors(t)
  await walkRegistering(t, doors, {
    refusal: badAddress,
    accepted: 201,
    tell: (uri) => doors.ask({ path: '/oauth/register', json: described(uri) }),
  })
})

/** `native` is the wider of the two kinds, so what it may not use is for nobody. */
function described(uri: string) {
  return { client_name: 'An app', application_type: 'native', redirect_uris: [uri] }
}

test('a client that changes its registration', async (t) => {
  const doors = await openDoors(t)
  const { ask } = doors
  const made = await ask({ path: '/oauth/register', json: described(registeredRedirectUri) })
  const { client_id, registration_access_token: token, registration_client_uri: path } = made.json
  const headers = { authorization: `Bearer ${token}` }
  await walkRegistering(t, doors, {
    refusal: badAddress,
    accepted: 200,
    tell: (uri) => ask({ method: 'PUT', path, headers, json: { ...described(uri), client_id } }),
  })
})

test('a client that describes itself in a document', async (t) => {
  const doors = await openDoors(t)
  const uris: string[] = []
  const { origin, stop } = await listenOnLoopback((at) => (request, response) => {
    const uri = uris[Number(request.url?.slice(1))]
    response.setHeader('content-type', 'application/json')
    const document = {
      ...described(uri ?? ''),
      client_id: `${at}${request.url}`,
      token_endpoint_auth_method: 'none',
    }
    response.end(JSON.stringify(document))
  })
  t.after(stop)
  await walkRegistering(t, doors, {
    refusal: { status: 400, has: { 'content-type': /^text\/html/ } },
    accepted: 302,
    tell: (uri) => {
      const id = `${origin}/${uris.push(uri) - 1}`
      return doors.ask({ path: authorizePath({ id, redirectUri: uri }) })
    },
  })
})

test('an administrator who makes and changes clients over REST', async (t) => {
  const doors = await openDoors(t)
  const { ask, origin } = doors
  const browser = await signIn(origin)
  const call = (method: string, path: string, json: unknown) =>
    ask({ method, path: `/api/v1/clients${path}`, browser, headers: { origin }, json })
  await t.test('making', (t) =>
    walkRegistering(t, doors, {
      refusal: badInput,
      accepted: 201,
      tell: (uri) => call('POST', '', { name: 'An app', redirectUris: [uri] }),
    }),
  )
  const input = { name: 'An app', redirectUris: [registeredRedirectUri] }
  const made = await call('POST', '', input)
  await t.test('changing', (t) =>
    walkRegistering(t, doors, {
      refusal: badInput,
      accepted: 200,
      // It was made as a web client and stays one.
      acceptable: everyone,
      tell: (uri) => call('PATCH', `/${made.json.id}`, { redirectUris: [uri] }),
    }),
  )
})

test('an operator who makes clients at the command line', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-corpus-'))
  const store = await openStore({ kind: 'sqlite', file: join(folder, 'latchkey.db') })
  const config = readConfig({ LATCHKEY_DATA: folder, LATCHKEY_PUBLIC_URL: 'http://localhost:1' })
  const workshop = await openWorkshop(config, { store })
  t.after(async () => {
    await workshop.close()
    await store.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const nothing = () => undefined
  const output = { print: nothing, note: nothing }
  const terminal = { isInteractive: false, ...output, ask: async () => undefined }
  const create = (uri: string) =>
    createOne({ workshop, terminal }, { name: 'An app', redirectUri: [uri], json: true })
  await t.test('none of the malformed ones', async (t) => {
    verifies(t, 'P-05', 'P-25', 'X-01')
    for (const uri of malformedRedirectUris) {
      await assert.rejects(create(uri), (error) => {
        assert.ok(isFault(error), String(error))
        assert.equal(error.code, 'invalid_input', JSON.stringify(uri))
        return error.detail?.['redirectUris'] !== undefined
      })
    }
    assert.deepEqual(await clientsIn(store), [])
  })
  await t.test('each of the acceptable ones', async () => {
    for (const uri of [...everyone, ...nativeOnly]) await create(uri)
  })
})

/** A door at which a client names one of its addresses, of which this one has two. */
interface Asking {
  readonly refusal: Expected
  readonly accepted: number
  readonly ask: (client: OAuthClient, redirectUri: string) => Promise<Answer>
}

async function walkAsking(
  t: TestContext,
  doors: Doors,
  { refusal, accepted, ask }: Asking,
): Promise<void> {
  const { db } = doors.store
  const redirect_uris = [registeredRedirectUri, otherRedirectUri]
  const several = await register(doors, { redirect_uris })
  const requests = async () => [
    await db.selectFrom('authorization_requests').selectAll().execute(),
    await db.selectFrom('pushed_requests').selectAll().execute(),
  ]
  await t.test('none that only resembles the registered one', async (t) => {
    verifies(t, 'P-25', 'X-01', 'S3-18', 'A9')
    for (const uri of mismatchedRedirectUris) {
      await labelled(uri, async () => {
        assertAnswer(await ask(several, uri), { ...refusal, ...noLocation })
      })
    }
    assert.deepEqual(await requests(), [[], []])
  })
  await t.test('the registered one', async () => {
    assert.equal((await ask(several, registeredRedirectUri)).status, accepted)
  })
  for (const { registered, accept, reject } of loopbackRedirectUris) {
    await t.test(`the ports of ${registered}`, async () => {
      const native = await register(doors, { redirect_uris: [registered] })
      for (const uri of accept) {
        await labelled(uri, async () => assert.equal((await ask(native, uri)).status, accepted))
      }
      for (const uri of reject) {
        await labelled(uri, async () => {
          assertAnswer(await ask(native, uri), { ...refusal, ...noLocation })
        })
      }
    })
  }
}

test('a browser at the authorization endpoint', async (t) => {
  const doors = await openDoors(t)
  await walkAsking(t, doors, {
    refusal: { status: 400, has: { 'content-type': /^text\/html/ } },
    accepted: 302,
    ask: (client, redirectUri) =>
      doors.ask({ path: authorizePath(client, { redirect_uri: redirectUri }) }),
  })
})

test('a client that pushes its request', async (t) => {
  const doors = await openDoors(t)
  await walkAsking(t, doors, {
    refusal: { status: 400, error: 'invalid_request' },
    accepted: 201,
    ask: (client, redirectUri) =>
      doors.ask({
        path: '/oauth/par',
        form: {
          response_type: 'code',
          client_id: client.id,
          redirect_uri: redirectUri,
          code_challenge: challenge,
          code_challenge_method: 'S256',
        },
      }),
  })
})

test('a client that redeems its code', async (t) => {
  const doors = await openDoors(t, { clock: createManualClock(Date.now()) })
  const client = await register(doors, {
    redirect_uris: [registeredRedirectUri, otherRedirectUri],
  })
  const browser = await signIn(doors.origin, operator)
  const code = await obtainCode(doors, browser, client)
  const refusal = { status: 400, error: 'invalid_grant', ...noLocation } as const
  await t.test('none but the one that it asked with', async (t) => {
    verifies(t, 'P-25', 'X-01')
    // An empty parameter is an absent one (RFC 6749 §3.1), and this one need not be there (OAuth 2.1 §4.1.3).
    const given = mismatchedRedirectUris.filter((uri) => uri !== '')
    for (const uri of [...given, otherRedirectUri]) {
      await labelled(uri, async () => {
        assertAnswer(await redeem(doors, client, code, { redirect_uri: uri }), refusal)
      })
    }
    assert.deepEqual(await doors.store.db.selectFrom('access_tokens').selectAll().execute(), [])
  })
  await t.test('and none of that has used it up', async () => {
    assertAnswer(await redeem(doors, client, code), { status: 200 })
  })
})
