// The pages of webhooks: one is added with a secret shown once, tried out, changed, paused, and removed.
import assert from 'node:assert/strict'
import { isAuthentic, startReceiver, status } from '../../src/journal/webhook.rig.ts'
import { operator, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { addPerson, callAs, fieldOn, openDoorsOn } from './doors.ts'
import type { Fields } from './doors.ts'

onEveryDatabase('an administrator has a program told, and sees how that goes', async (t, store) => {
  verifies(t, 'S3-50', 'X-36')
  const doors = await openDoorsOn(t, store)
  const { origin } = doors
  const receiver = await startReceiver(t)
  const browser = await signIn(origin)
  const ada = callAs(doors, browser)
  const at = '/console/webhooks'
  assert.match((await browser.open(origin + at)).html, /Nobody is told yet/)
  const send = async (path: string, fields: Fields) => {
    const { html } = await browser.open(origin + path)
    const form = { form_token: fieldOn(html, 'form_token'), ...fields }
    return doors.ask({ path, browser, form, headers: { origin } })
  }
  const nothing = await send(at, { url: receiver.url, which: 'named', description: '<b>Ops</b>' })
  assert.equal(nothing.status, 422)
  assert.match(nothing.text, /Tick at least one kind of event/)
  assert.match(nothing.text, /value="&lt;b&gt;Ops&lt;\/b&gt;"/, 'what was entered is still there')
  for (const url of ['no url', 'https://169.254.169.254/']) {
    assert.equal((await send(at, { url, which: 'all' })).status, 422)
  }
  assert.deepEqual((await ada('GET', '/webhooks')).json, { items: [] })

  const event = ['token.*', 'token.issued', 'server.created']
  const described = { url: receiver.url, which: 'named', description: '<b>Ops</b>', event }
  const made = await send(at, described)
  assert.equal(made.status, 200)
  const secret = /whsec_[A-Za-z0-9+/]{43}=/.exec(made.text)?.[0] ?? ''
  const [{ id, eventTypes }] = (await ada('GET', '/webhooks')).json.items
  assert.deepEqual(eventTypes, ['token.*', 'server.created'])
  const list = (await browser.open(origin + at)).html
  assert.ok(!list.includes('whsec_') && !list.includes('<b>Ops'))
  assert.match(list, /2 kinds of events/)

  const path = `${at}/${id}`
  const kept = async () => (await ada('GET', `/webhooks/${id}`)).json
  const tried = await send(path, { action: 'test' })
  assert.match(tried.text, /The test arrived\. The receiver answered\s+20\d\./)
  assert.ok(isAuthentic(receiver.received[0]!, secret, Date.now()))
  assert.match(tried.text, /Arrived<\/span>[\s\S]{0,200}1 try/)
  receiver.answerWith(status(500))
  const failed = await send(path, { action: 'test' })
  assert.match(failed.text, /The test did not arrive\.[\s\S]{0,40}The receiver answered 500/)
  assert.match((await browser.open(`${origin}${path}?status=failed`)).html, /Given up/)
  assert.match((await browser.open(`${origin}${path}?status=pending`)).html, /none that stands so/)
  const [{ id: delivery }] = (await ada('GET', `/webhooks/${id}/deliveries?status=failed`)).json
    .items
  const again = await send(path, { action: 'redeliver', delivery })
  assert.match(again.text, /It is sent again/)
  assert.equal((await send(path, { action: 'redeliver', delivery: 'msg_x' })).status, 404)
  receiver.answerWith(status(200))

  const rotated = await send(path, { action: 'rotate' })
  const next = /whsec_[A-Za-z0-9+/]{43}=/.exec(rotated.text)?.[0] ?? ''
  assert.ok(next !== '' && next !== secret)
  assert.match((await browser.open(origin + path)).html, /The old secret signs until/)
  assert.ok(!browser.current().html.includes('whsec_'))

  const changed = await send(path, { ...described, action: 'change', which: 'all' })
  assert.match(changed.text, /Saved/)
  assert.deepEqual((await kept()).eventTypes, ['*'])
  const wrong = await send(path, { ...described, action: 'change', url: 'https://10.1.2.3/' })
  assert.equal(wrong.status, 422)
  assert.match(wrong.text, /value="https:\/\/10\.1\.2\.3\/"/)
  // What the list does not have stays, however the form is sent.
  await ada('PATCH', `/webhooks/${id}`, { eventTypes: ['thing.new'] })
  assert.match((await browser.open(origin + path)).html, /value="thing\.new"\s+checked/)

  const paused = await send(path, { action: 'pause' })
  assert.match(paused.text, /Paused/)
  assert.equal((await kept()).disabled, true)
  assert.equal((await send(path, { action: 'test' })).status, 409)
  await send(path, { action: 'resume' })
  assert.equal((await kept()).disabled, false)

  await addPerson(doors, 'eve@example.com')
  const eve = await signIn(origin, { ...operator, email: 'eve@example.com' })
  for (const place of [at, path]) assert.equal((await eve.open(origin + place)).status, 403)
  assert.equal((await send(path, { action: 'nothing' })).status, 403)
  assert.equal((await send(path, { action: 'remove' })).status, 303)
  assert.equal((await browser.open(origin + path)).status, 404)
})
