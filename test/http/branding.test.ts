// What of a tenant's branding its pages show, and that none of it comes from elsewhere or breaks out of its place.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { signIn } from '../harness.ts'
import { callAs, openDoors } from './doors.ts'

test('pages show the name, the colour and the contact of their tenant, and nobody else’s', async (t) => {
  const doors = await openDoors(t)
  const ada = callAs(doors, await signIn(doors.origin))
  const issuer = `${doors.origin}/t/acme-co`
  const made = await ada('POST', '/tenants', {
    slug: 'acme-co',
    issuer,
    name: '<b>Acme</b>',
    accent: '#ffee00',
    logoUrl: 'https://acme.test/logo.png',
    supportContact: 'help@acme.test',
  })
  assert.equal(made.status, 201, made.text)

  const page = await doors.ask({ path: '/t/acme-co/sign-in' })
  assert.match(page.text, /<title>Not set up yet · &lt;b&gt;Acme&lt;\/b&gt;<\/title>/)
  assert.match(page.text, /href="\/t\/acme-co\/assets\/brand\.css"/)
  assert.match(page.text, /href="mailto:help@acme\.test"/)
  assert.ok(!page.text.includes('logo.png'), 'nothing is loaded from another host')
  const style = await doors.ask({ path: '/t/acme-co/assets/brand.css' })
  assert.match(style.text, /^:root\{--accent:#[0-9a-f]{6};--accent-ink:#[0-9a-f]{6}\}@media/)
  // Yellow cannot be read on white; on the dark ground it stays.
  assert.ok(style.text.indexOf('#ffee00') > style.text.indexOf('@media'))

  const home = await doors.ask({ path: '/sign-in' })
  assert.match(home.text, /<title>Sign in · Latchkey<\/title>/)
  assert.ok(!home.text.includes('brand.css') && !home.text.includes('acme.test'))
  assert.equal((await doors.ask({ path: '/assets/brand.css' })).text, '')
})
