// Whose story a step belongs to ("Why did it fail?"): who only names a client writes into nobody's, and what a client and a
// person do from two addresses is one story all the same, as soon as something exact binds it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { createCookieBrowser, fetchOverHttp } from '../counterparts/cookie-browser.ts'
import { operator, signIn } from '../harness.ts'
import { addPerson, openDoors } from './doors.ts'
import type { Doors } from './doors.ts'
import { approve, authorizePath, obtainCode, redeem, register } from './oauth-client.ts'
import type { OAuthClient } from './oauth-client.ts'

const metadata = '/.well-known/oauth-authorization-server'
const garbage = `auth_${'x'.repeat(43)}`
const wrongAddress = { redirect_uri: 'https://evil.test/cb' }

interface World extends Doors {
  /** The doors as somebody at this address comes to them. */
  readonly from: (address: string) => Doors
  readonly browserAt: (address: string, email?: string) => Promise<CookieBrowser>
  /** What each story tells, the latest first. */
  readonly stories: () => Promise<readonly (readonly string[])[]>
}

async function openWorld(t: TestContext): Promise<World> {
  const clock = createManualClock(Date.now())
  const settings = { LATCHKEY_TRUSTED_PROXIES: 'loopback' }
  const doors = await openDoors(t, { clock, settings })
  const admin = await signIn(doors.origin)
  const from = (address: string): Doors => ({
    ...doors,
    // Each step comes a moment after the one before, so that they stand in the journal in their order.
    ask: async (request) => {
      await clock.advance(5)
      const headers = { 'x-forwarded-for': address, 'user-agent': 'program', ...request.headers }
      return doors.ask({ ...request, headers })
    },
  })
  const browserAt = async (address: string, email = operator.email) => {
    const browser = createCookieBrowser((url, init) =>
      fetchOverHttp(url, { ...init, headers: { ...init.headers, 'x-forwarded-for': address } }),
    )
    await browser.open(`${doors.origin}/sign-in`)
    await browser.submit({ fields: { email, password: operator.password } })
    return browser
  }
  const stories = async () => {
    const { json } = await doors.ask({ path: '/api/v1/attempts', browser: admin })
    const found: readonly { readonly id: string }[] = json.items
    const read = found.map(async ({ id }): Promise<readonly string[]> => {
      const story = await doors.ask({ path: `/api/v1/journal?attempt=${id}`, browser: admin })
      return story.json.items.map(({ type }: { type: string }) => type)
    })
    return Promise.all(read)
  }
  return { ...doors, from, browserAt, stories }
}

const cloud = '198.51.100.1'
const home = '192.0.2.5'
const stranger = '203.0.113.66'
const strangersFriend = '203.0.113.67'

const letIn = ['authorization.started', 'consent.given', 'grant.created', 'token.issued']

/** Everything a stranger can do in the name of a client. */
async function meddle(world: World, client: OAuthClient): Promise<void> {
  const theirs = world.from(strangersFriend)
  await theirs.ask({ path: authorizePath(client) })
  await theirs.ask({ path: authorizePath(client, wrongAddress) })
  await redeem(theirs, client, garbage)
  const form = { client_id: client.id, redirect_uri: wrongAddress.redirect_uri }
  await theirs.ask({ path: '/oauth/par', form })
  await theirs.ask({ path: '/oauth/device_authorization', form })
}

test('strangers write into nobody’s story', async (t) => {
  const world = await openWorld(t)
  const { from, browserAt, stories } = world
  const browser = await browserAt(home)
  const client = await register(from(cloud))

  await t.test('not before the person’s browser has come', async () => {
    // In the same words a public client is found again, so a stranger learns its id like this.
    assert.equal((await register(from(stranger))).id, client.id)
    await meddle(world, client)
    const told = await stories()
    assert.ok(
      told.some((types) => types.join() === 'client.registered'),
      JSON.stringify(told),
    )
  })

  await t.test('and the honest story is whole once the code is redeemed', async () => {
    const code = await obtainCode(from(home), browser, client)
    assert.equal((await redeem(from(cloud), client, code)).status, 200)
    assert.deepEqual(ofGood(await stories()), [['client.registered', ...letIn]])
  })

  await t.test('nor when it is over', async () => {
    await meddle(world, client)
    assert.deepEqual(ofGood(await stories()), [['client.registered', ...letIn]])
  })

  await t.test('another person of the same client has a story of their own', async () => {
    await addPerson(world, 'eve@example.com')
    const eve = await browserAt('192.0.2.6', 'eve@example.com')
    const code = await obtainCode(from('192.0.2.6'), eve, client)
    assert.equal((await redeem(from('198.51.100.2'), client, code)).status, 200)
    assert.deepEqual(ofGood(await stories()), [letIn, ['client.registered', ...letIn]])
  })
})

/** The stories in which somebody was let in. */
function ofGood(told: readonly (readonly string[])[]) {
  return told.filter((types) => types.includes('token.issued'))
}

test('a client that registered for itself alone binds what comes from elsewhere', async (t) => {
  const world = await openWorld(t)
  const { from, browserAt, stories } = world
  const browser = await browserAt(home)
  await from(cloud).ask({ path: metadata })
  const client = await register(from(cloud), { client_name: 'fresh' })

  await t.test('also where its browser is refused', async () => {
    await from(home).ask({ path: authorizePath(client, wrongAddress) })
    const begun = ['discovery.answered', 'client.registered', 'authorization.refused']
    assert.deepEqual(await stories(), [begun])
  })

  await t.test('and when the person says no', async () => {
    browser.setStopAt((url) => url.origin !== world.origin)
    await browser.open(world.origin + authorizePath(client))
    await browser.submit({ button: { name: 'decision', value: 'deny' } })
    const [story, ...others] = await stories()
    assert.deepEqual(others, [])
    assert.deepEqual(story?.slice(3), ['authorization.started', 'consent.denied'])
  })
})

test('two programs on one machine are told apart, and a story that is over is not gone on with', async (t) => {
  const world = await openWorld(t)
  const { from, browserAt, stories } = world
  const browser = await browserAt(home)
  const first = await register(from(home), { client_name: 'first' })
  const second = await register(from(home), { client_name: 'second' })
  for (const client of [first, second]) {
    const callback = await approve(from(home), browser, client)
    await redeem(from(home), client, callback.get('code') ?? '')
  }
  const whole = ['client.registered', ...letIn]
  assert.deepEqual(await stories(), [whole, whole])

  // A colleague behind the same address has the same program.
  await addPerson(world, 'eve@example.com')
  const eve = await browserAt(home, 'eve@example.com')
  const callback = await approve(from(home), eve, first)
  await redeem(from(home), first, callback.get('code') ?? '')
  assert.deepEqual(await stories(), [letIn, whole, whole])
})
