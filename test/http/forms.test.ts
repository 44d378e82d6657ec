// The forms of all pages against one another: a token is good for the one form it was drawn in, in the browser and session
// that drew it, and in a body that a form sends.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { operator, signIn } from '../harness.ts'
import { verifies } from '../requirements.ts'
import { assertAnswer, encode, openDoors } from './doors.ts'
import type { Doors, Fields } from './doors.ts'
import { authorizePath, register } from './oauth-client.ts'

interface Drawn {
  /** The form's own fields, its token included. */
  readonly fields: Readonly<Record<string, string>>
  /** What a person puts into it, and the button they press. */
  readonly pressed: Fields
}

const deviceCodeGrant = 'urn:ietf:params:oauth:grant-type:device_code'
const forDevices = { redirect_uris: [], grant_types: [deviceCodeGrant] }

/** Every form that this browser can be shown, by the path that it is posted to. */
async function drawAll(doors: Doors, browser: CookieBrowser): Promise<ReadonlyMap<string, Drawn>> {
  const { origin, ask } = doors
  const drawn = new Map<string, Drawn>()
  const draw = async (path: string, pressed: Readonly<Record<string, Fields>>) => {
    const { forms } = await browser.open(origin + path)
    for (const { action, fields } of forms) {
      const target = new URL(action).pathname
      const own = fields.filter(({ type }) => type === 'hidden' || type === 'checkbox')
      const values = Object.fromEntries(own.map(({ name, value }) => [name, value]))
      drawn.set(target, { fields: values, pressed: pressed[target] ?? {} })
    }
  }
  const client = await register(doors)
  const device = await register(doors, forDevices)
  const begun = await ask({ path: '/oauth/device_authorization', form: { client_id: device.id } })
  await draw('/sign-in', { '/sign-in': { email: 'nobody@example.com', password: 'x' } })
  await draw('/console/connections', {})
  await draw('/console/apps', {})
  await draw('/console/clients', { '/console/clients': { client: client.id, action: 'disable' } })
  await draw('/console/providers', { '/console/providers': { action: 'check' } })
  await draw('/console/support', { '/console/support': { action: 'dashboard' } })
  await draw(authorizePath(client, { prompt: 'consent' }), {
    '/oauth/consent': { decision: 'approve' },
  })
  const { user_code } = begun.json
  await draw('/device', { '/device': { user_code } })
  const question = await browser.submit({ fields: { user_code } })
  await draw(question.url.slice(origin.length), { '/device/decision': { decision: 'approve' } })
  return drawn
}

test('the token of one form opens no other [X-13] [row 14]', async (t) => {
  verifies(t, 'X-13')
  const doors = await openDoors(t)
  const { origin } = doors
  const browser = await signIn(doors.origin)
  const drawn = await drawAll(doors, browser)
  const headers = { origin, 'sec-fetch-site': 'same-origin' }
  const targets = [...drawn.keys()].toSorted()
  assert.deepEqual(targets, [
    '/console/clients',
    '/console/providers',
    '/console/servers',
    '/console/support',
    '/device',
    '/device/decision',
    '/oauth/consent',
    '/sign-in',
    '/sign-out',
  ])
  for (const target of ['/setup', '/console/apps', '/connect/con_x', ...targets]) {
    await t.test(target, async () => {
      const { fields = {}, pressed = {} } = drawn.get(target) ?? {}
      for (const [from, { fields: others }] of drawn) {
        if (from === target) continue
        const form = { ...fields, ...pressed, form_token: others['form_token'] }
        const answer = await doors.ask({ path: target, browser, headers, form })
        assertAnswer(answer, { status: 403, hasNot: ['location', 'set-cookie'] })
      }
    })
  }

  await t.test('a body that no form sends answers none of them', async () => {
    for (const target of targets) {
      const { fields = {}, pressed = {} } = drawn.get(target) ?? {}
      const pairs = Object.entries({ ...fields, ...pressed }).map(([name, value]) => [
        name,
        String(value),
      ])
      const part = ([name, value]: string[]) =>
        `--x\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
      const bodies = [
        ['multipart/form-data; boundary=x', `${pairs.map(part).join('')}--x--\r\n`],
        ['text/plain', pairs.map(([name, value]) => `${name}=${value}\r\n`).join('')],
        ['application/json', JSON.stringify(Object.fromEntries(pairs))],
      ] as const
      for (const [type, body] of bodies) {
        const asked = { path: target, browser, body, headers: { ...headers, 'content-type': type } }
        const answer = await doors.ask(asked)
        assert.ok([403, 410].includes(answer.status), `${target} ${type}: ${answer.status}`)
        assertAnswer(answer, { status: answer.status, hasNot: ['location', 'set-cookie'] })
      }
    }
  })

  await t.test('nor does the address, nor a method that a header names', async () => {
    for (const target of targets) {
      const { fields = {}, pressed = {} } = drawn.get(target) ?? {}
      const query = encode({ ...fields, ...pressed, _method: 'POST' })
      const override = { ...headers, 'x-http-method-override': 'POST', 'x-method-override': 'POST' }
      const asked = await doors.ask({ path: `${target}?${query}`, browser, headers: override })
      assert.ok([200, 405].includes(asked.status), `${target}: ${asked.status}`)
      const posted = { path: `${target}?${query}`, browser, headers, form: {} }
      const answer = await doors.ask(posted)
      assert.ok([403, 410].includes(answer.status), `POST ${target}: ${answer.status}`)
    }
  })

  await t.test('and each is still good for its own', async () => {
    for (const [target, status] of [
      ['/console/servers', 422],
      ['/oauth/consent', 303],
      ['/device/decision', 303],
      ['/console/clients', 303],
      ['/console/providers', 422],
      ['/console/support', 303],
      ['/sign-in', 401],
      ['/sign-out', 303],
    ] as const) {
      const { fields = {}, pressed = {} } = drawn.get(target) ?? {}
      const form = { ...fields, ...pressed }
      assertAnswer(await doors.ask({ path: target, browser, headers, form }), { status })
    }
  })
})

test('a form that was drawn before the person changed answers for nobody [X-13] [P-48]', async (t) => {
  const doors = await openDoors(t)
  const { origin } = doors
  const browser = await signIn(origin)
  const drawn = await drawAll(doors, browser)
  // The same browser, a new session: what was asked was asked of the session before.
  await browser.open(`${origin}/sign-in`)
  await browser.submit({
    fields: operator,
  })
  for (const target of ['/oauth/consent', '/device/decision']) {
    const { fields = {}, pressed = {} } = drawn.get(target) ?? {}
    const answer = await doors.ask({
      path: target,
      browser,
      headers: { origin, 'sec-fetch-site': 'same-origin' },
      form: { ...fields, ...pressed },
    })
    assertAnswer(answer, { status: 403, hasNot: ['location', 'set-cookie'] })
  }
})
