// The page that tells how each program is given an address: what stands there to be copied, for whom, and of which server.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clientSteps } from '../../src/http/pages/client-steps.ts'
import { knownClients } from '../../src/issuer/known-clients.ts'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { operator, restAs, signIn } from '../harness.ts'
import { verifies } from '../requirements.ts'
import { addPerson, openDoors } from './doors.ts'

const target = { url: 'https://acme.test/notes/mcp', name: 'notes', issuer: 'https://acme.test' }

test('every program that we know has its steps, and in them something of the address', () => {
  const programs = clientSteps(target)
  for (const { name } of knownClients) {
    const steps = programs.find((one) => one.name === name)?.steps ?? []
    assert.ok(steps.length > 0, name)
    assert.ok(JSON.stringify(steps).includes(target.url), name)
  }
})

test('what a program takes as JSON or as a link is that, and leads to the address', () => {
  const steps = (name: string) => clientSteps(target).find((one) => one.name === name)?.steps ?? []
  const [cursorLink] = steps('Cursor')
  const cursor = new URL(cursorLink?.open ?? '')
  assert.equal(cursor.searchParams.get('name'), 'notes')
  const config = Buffer.from(cursor.searchParams.get('config') ?? '', 'base64').toString()
  assert.deepEqual(JSON.parse(config), { url: target.url })
  assert.deepEqual(JSON.parse(cursorLink?.or?.[0]?.copy ?? ''), {
    mcpServers: { notes: { url: target.url } },
  })
  const [codeLink] = steps('VS Code')
  const remote = { type: 'http', url: target.url }
  const [, query = ''] = (codeLink?.open ?? '').split('?')
  assert.deepEqual(JSON.parse(decodeURIComponent(query)), { name: 'notes', ...remote })
  assert.deepEqual(JSON.parse(codeLink?.or?.[1]?.copy ?? ''), { servers: { notes: remote } })
})

test('a person reads the steps for all servers, or for one that they may use', async (t) => {
  verifies(t, 'S1-14')
  const doors = await openDoors(t)
  const { origin } = doors
  const upstream = await startOpenMcpServer({ host: '127.0.0.1' })
  t.after(() => upstream.stop())
  const ada = await signIn(origin)
  const rest = restAs(ada, origin)
  const name = '<b>Notes</b>'
  const made = await rest('POST', '/servers', { url: upstream.url, slug: 'notes', name })
  assert.equal(made.status, 201)
  await rest('POST', '/servers', {
    url: `${upstream.url}?of=ada`,
    slug: 'secret',
    name: 'Secret',
    mayUse: ['admin'],
  })

  await addPerson(doors, 'eve@example.com')
  const eve = await signIn(origin, { ...operator, email: 'eve@example.com' })
  const at = `${origin}/console/connect`
  const everything = await eve.open(at)
  assert.equal(everything.status, 200)
  assert.ok(everything.html.includes(`--scope user latchkey ${origin}/mcp<`))
  assert.match(everything.html, /&lt;b&gt;Notes/)
  assert.ok(!everything.html.includes(name))
  assert.ok(!everything.html.includes('Secret'))
  assert.match(everything.html, /leads nowhere from there/)

  const one = await eve.open(`${at}?server=notes`)
  assert.ok(one.html.includes(`--scope user notes ${origin}/notes/mcp<`))
  assert.equal((await eve.open(`${at}?server=secret`)).status, 404)
  assert.equal((await ada.open(`${at}?server=secret`)).status, 200)
})

test('who is not signed in comes back to the chosen server', async (t) => {
  const { ask } = await openDoors(t)
  const { status, headers } = await ask({ path: '/console/connect?server=notes' })
  assert.equal(status, 302)
  const next = encodeURIComponent('/console/connect?server=notes')
  assert.equal(headers.get('location'), `/sign-in?next=${next}`)
})
