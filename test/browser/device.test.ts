// Letting a device in, in a real browser: the code is typed, compared and decided about, on a desktop and on a phone, in
// the light and in the dark, with and without scripts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BrowserContextOptions } from 'playwright-core'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { verifies } from '../requirements.ts'
import { addMemories, fits, giveCredentials, openBrowser, signIn } from './in-a-browser.ts'

const grantType = 'urn:ietf:params:oauth:grant-type:device_code'

async function post(url: string, body: string, type: string) {
  const headers = { 'content-type': type, 'user-agent': 'television/1.0' }
  const answer = await fetch(url, { method: 'POST', headers, body })
  // The test looks into what came and asserts what it finds.
  return { status: answer.status, json: (await answer.json()) as any } // oxlint-disable-line typescript/no-explicit-any
}

/** What a device does: registers, begins, asks. */
async function registerDevice(origin: string, name: string) {
  const { json: client } = await post(
    `${origin}/oauth/register`,
    JSON.stringify({
      client_name: name,
      redirect_uris: [],
      grant_types: [grantType, 'refresh_token'],
      token_endpoint_auth_method: 'none',
    }),
    'application/json',
  )
  const send = (path: string, fields: Readonly<Record<string, string>>) => {
    const form = new URLSearchParams({ client_id: client.client_id, ...fields })
    return post(origin + path, form.toString(), 'application/x-www-form-urlencoded')
  }
  const begin = async (fields = {}) => {
    const { json } = await send('/oauth/device_authorization', fields)
    return json as { device_code: string; user_code: string; verification_uri: string }
  }
  const poll = (device_code: string) => send('/oauth/token', { grant_type: grantType, device_code })
  return { begin, poll }
}

const phone = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true }
const looks: readonly (readonly [string, BrowserContextOptions])[] = [
  ['desktop-light', { colorScheme: 'light' }],
  ['desktop-dark', { colorScheme: 'dark', javaScriptEnabled: false }],
  ['phone-light', { ...phone, colorScheme: 'light', javaScriptEnabled: false }],
  ['phone-dark', { ...phone, colorScheme: 'dark' }],
]

for (const [look, options] of looks) {
  const how = options.javaScriptEnabled === false ? 'without any script' : 'with scripts'
  test(`a device is let in, ${look}, ${how}`, async (t) => {
    verifies(t, 'S3-51', 'S3-25', 'X-23')
    const browsing = await openBrowser(t, { browser: options })
    if (browsing === undefined) return
    const { page, origin, picture, problems } = browsing
    const device = await registerDevice(origin, 'Living room <b>television</b>')
    const codes = await device.begin()

    await page.goto(codes.verification_uri)
    await giveCredentials(page)
    await page.getByRole('heading', { name: 'Connect a device' }).waitFor()
    await picture(page, `device-code-${look}`)

    await page.getByLabel('Code').fill('0DJB-MJH1')
    await page.getByRole('button', { name: 'Continue' }).click()
    await page.getByRole('alert').getByText('may be Q or D').waitFor()
    await picture(page, `device-misread-${look}`)

    await page.getByLabel('Code').fill(codes.user_code.toLowerCase().replace('-', ' '))
    await page.getByRole('button', { name: 'Continue' }).click()
    await page.getByText('on a device in front of you').waitFor()
    await page.getByText('Living room <b>television</b>').first().waitFor()
    assert.equal(await page.getByText(codes.user_code).count(), 1)
    await picture(page, `device-question-${look}`)
    assert.equal((await device.poll(codes.device_code)).json.error, 'authorization_pending')
    // Without scripts nobody can ask.
    if (options.javaScriptEnabled !== false) await fits(page)

    await page.reload()
    await page.getByRole('button', { name: 'Approve' }).click()
    await page.getByRole('heading', { name: 'Device connected' }).waitFor()
    await picture(page, `device-done-${look}`)
    const { status, json } = await device.poll(codes.device_code)
    assert.equal(status, 200, JSON.stringify(json))

    await page.goBack()
    assert.equal(await page.getByRole('button', { name: 'Approve' }).count(), 0, 'it is over')
    // A page for a refusal of ours is what the console may complain about: the misread code is a 422.
    assert.deepEqual(
      problems.filter((problem) => !problem.includes('422')),
      [],
    )
  })
}

for (const [look, options] of looks) {
  test(`a person ticks what they give a device, ${look}`, async (t) => {
    verifies(t, 'A3-4')
    const browsing = await openBrowser(t, { browser: options })
    if (browsing === undefined) return
    const { page, origin, picture, problems } = browsing
    const upstream = await startOpenMcpServer({ host: '127.0.0.1' })
    t.after(() => upstream.stop())
    await signIn(browsing)
    await addMemories(browsing, upstream.url)
    const device = await registerDevice(origin, 'Living room television')
    const codes = await device.begin({
      resource: `${origin}/memories/mcp`,
      scope: 'memories:read memories:write memories:all',
    })
    await page.goto(codes.verification_uri)
    await page.getByLabel('Code').fill(codes.user_code)
    await page.getByRole('button', { name: 'Continue' }).click()
    await page.getByText('Untick what you do not want to give.').waitFor()
    assert.equal(await page.getByRole('checkbox', { checked: true }).count(), 3)
    await picture(page, `device-scopes-${look}`)
    if (options.javaScriptEnabled !== false) await fits(page)

    for (const box of await page.getByRole('checkbox').all()) await box.uncheck()
    await page.getByRole('button', { name: 'Approve' }).click()
    await page.getByText('Tick at least one of these').waitFor()
    await picture(page, `device-nothing-${look}`)
    await page.locator('input[value="memories:write"]').uncheck()
    await page.locator('input[value="memories:all"]').uncheck()
    await page.getByRole('button', { name: 'Approve' }).click()
    await page.getByRole('heading', { name: 'Device connected' }).waitFor()
    const { json } = await device.poll(codes.device_code)
    assert.equal(json.scope, 'memories:read')
    assert.deepEqual(
      problems.filter((problem) => !problem.includes('422')),
      [],
    )
  })
}

test('a person says no, and a wrong code is told kindly', async (t) => {
  verifies(t, 'T-30')
  const browsing = await openBrowser(t)
  if (browsing === undefined) return
  const { page, origin, picture } = browsing
  const device = await registerDevice(origin, 'Claude Code')
  const codes = await device.begin()
  await page.goto(codes.verification_uri)
  await giveCredentials(page)
  await page.getByLabel('Code').fill('BBBB-BBBB')
  await page.getByRole('button', { name: 'Continue' }).click()
  await page.getByText('No device waits with this code').waitFor()
  await page.getByLabel('Code').fill(codes.user_code)
  await page.getByRole('button', { name: 'Continue' }).click()
  await page.getByText('nothing proves that it is').waitFor()
  await picture(page, 'device-pretender')
  await page.getByRole('button', { name: 'Deny' }).click()
  await page.getByRole('heading', { name: 'Device denied' }).waitFor()
  await picture(page, 'device-denied')
  assert.equal((await device.poll(codes.device_code)).json.error, 'access_denied')

  await page.goto(`${origin}/device`)
  for (let wrong = 0; wrong < 4; wrong += 1) {
    await page.getByLabel('Code').fill('BBBB-BBBB')
    await page.getByRole('button', { name: 'Continue' }).click()
    await page.getByRole('alert').waitFor()
  }
  await page.getByLabel('Code').fill('BBBB-BBBB')
  await page.getByRole('button', { name: 'Continue' }).click()
  await page.getByText('Wait 10 minutes').waitFor()
  await picture(page, 'device-too-many')
})
