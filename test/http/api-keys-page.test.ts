// The page of API keys: an administrator makes one, sees everybody's, and takes one back; an operator's is for operators.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import { operator, restAs, signIn } from '../harness.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { addPerson, openDoors, openDoorsOn } from './doors.ts'
import type { Doors } from './doors.ts'

const path = '/console/api-keys'
const dayMs = 86_400_000

/** An administrator who is no operator. */
async function addAdmin(doors: Doors, ada: CookieBrowser): Promise<CookieBrowser> {
  const email = 'grace@example.com'
  const id = await addPerson(doors, email)
  await restAs(ada, doors.origin)('PATCH', `/users/${id}`, { role: 'admin' })
  return signIn(doors.origin, { ...operator, email })
}

onEveryDatabase(
  'an administrator makes a key, shown once, and takes back anybody’s',
  async (t, store) => {
    verifies(t, 'S4-45')
    const clock = createManualClock(Date.now())
    const doors = await openDoorsOn(t, store, { clock })
    const { origin, alsoSecret } = doors
    const ada = await signIn(origin)
    const grace = await addAdmin(doors, ada)
    await grace.open(origin + path)
    const made = await grace.submit({
      fields: { name: '<i>x</i>', lifetime: '30' },
      button: 'Make the key',
    })
    assert.equal(made.status, 200)
    const key = /<code>(lk_[\w-]+)<\/code>/.exec(made.html)?.[1] ?? assert.fail('no key is shown')
    alsoSecret([key])
    const ask = () =>
      doors.ask({ path: '/api/v1/users', headers: { authorization: `Bearer ${key}` } })
    assert.equal((await ask()).status, 200)
    const [own] = (await restAs(grace, origin)('GET', '/api-keys')).body.items
    assert.deepEqual(own.scopes, ['api'])
    assert.equal(own.expiresAt - own.createdAt, 30 * dayMs)

    const seen = await ada.open(origin + path)
    assert.ok(!seen.html.includes(key))
    assert.match(seen.html, /&lt;i&gt;x&lt;\/i&gt;/)
    assert.match(seen.html, /Of <bdi>grace@example\.com<\/bdi>/)
    const form = seen.forms.find(({ fields }) => fields.some(({ name }) => name === 'key'))
    const id = form?.fields.find(({ name }) => name === 'key')?.value
    assert.equal(id, own.id)
    const back = await ada.submit({ button: { name: 'action', value: 'end' } })
    assert.match(back.html, /The key is taken back/)
    assert.match(back.html, /There are no API keys yet/)
    assert.equal((await ask()).status, 401)
    const { items } = (await restAs(ada, origin)('GET', '/journal')).body
    assert.deepEqual(
      items
        .filter(({ type }: { type: string }) => type === 'api_key.revoked')
        .map(({ actor }: { actor: { kind: string } }) => actor.kind),
      ['user'],
    )

    // One whose time is over is still there to be seen.
    await ada.submit({ fields: { name: 'short', lifetime: '30' }, button: 'Make the key' })
    await clock.advance(30 * dayMs)
    const later = await signIn(origin)
    assert.match((await later.open(origin + path)).html, /Expired/)
  },
)

test('an admin takes no operator’s key back, and what cannot be is said in words', async (t) => {
  verifies(t, 'S4-45')
  const doors = await openDoors(t)
  const { origin } = doors
  const ada = await signIn(origin)
  const grace = await addAdmin(doors, ada)
  const rest = restAs(ada, origin)
  const { id } = (await rest('POST', '/api-keys', { name: 'ada’s', scopes: ['api'] })).body
  const page = await grace.open(origin + path)
  assert.match(page.html, /ada’s/)
  assert.ok(!page.html.includes('value="end"'))
  const token = /name="form_token" value="([^"]+)"/.exec(page.html)?.[1] ?? ''
  const send = (form: Readonly<Record<string, string>>) =>
    doors.ask({
      path,
      method: 'POST',
      browser: grace,
      form: { form_token: token, ...form },
      headers: { origin },
    })
  for (const [form, status, says] of [
    [{ action: 'end', key: id }, 403, /You may not do this/],
    [{ action: 'end', key: 'key_nobody' }, 404, /There is nothing here/],
    [{ action: 'make', name: 'Bo', lifetime: '365' }, 422, /Say at least one thing/],
    [{ action: 'make', name: ' ', scope: 'api' }, 422, /A name has 1 to 80 characters/],
    [{ action: 'make', name: 'x'.repeat(81), scope: 'api' }, 422, /A name has 1 to 80 characters/],
  ] as const) {
    const answer = await send(form)
    assert.equal(answer.status, status, JSON.stringify(form))
    assert.match(answer.text, says)
  }
  const again = await send({ action: 'make', name: 'Bo', lifetime: '365' })
  assert.match(again.text, /value="Bo"/)
  assert.match(again.text, /value="365" selected/)
  assert.equal((await rest('GET', '/api-keys')).body.items.length, 1)
  assert.equal((await restAs(grace, origin)('GET', '/api-keys')).body.items.length, 0)
})
