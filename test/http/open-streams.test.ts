// Streams that stay open for hours end with what they hang on: the connection, the server, the consent.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { operator, signIn } from '../harness.ts'
import { verifies } from '../requirements.ts'
import { addPerson, assertAnswer, callAs, openDoors } from './doors.ts'
import type { Call, Doors } from './doors.ts'
import { startFlows } from './flow-doors.ts'
import { obtainTokens, register } from './oauth-client.ts'

async function start(t: TestContext) {
  const doors = await openDoors(t)
  const flows = await startFlows(t, doors)
  await addPerson(doors, 'eve@example.com')
  const eveBrowser = await signIn(doors.origin, { ...operator, email: 'eve@example.com' })
  const eve = callAs(doors, eveBrowser)
  const client = await register(doors)
  const people = { ada: [flows.ada, flows.browser], eve: [eve, eveBrowser] } as const
  const resource = `${doors.origin}/${flows.server.slug}/mcp`

  /** Signs a person in and opens their stream at the server. */
  const openStream = async (name: keyof typeof people) => {
    const [call, browser] = people[name]
    const begun = await flows.begin({}, call)
    assertAnswer(await flows.open(await flows.approve(begun), browser), { status: 302 })
    const fields = { resource, prompt: 'consent' }
    const { accessToken } = await obtainTokens(doors, browser, client, fields)
    const stream = await listen(t, resource, accessToken)
    return { ...stream, call, connectionId: begun.connectionId }
  }
  return { ...flows, doors, openStream }
}

async function listen(t: TestContext, url: string, accessToken: string) {
  const leaving = new AbortController()
  t.after(() => leaving.abort())
  const headers = { authorization: `Bearer ${accessToken}`, accept: 'text/event-stream' }
  const answer = await fetch(url, { headers, signal: leaving.signal })
  assert.equal(answer.status, 200)
  const reader = answer.body!.getReader()
  const { value } = await reader.read()
  assert.match(new TextDecoder().decode(value), /notifications\/open/)
  let isOpen = true
  const ended = (async () => {
    while (!(await reader.read()).done) continue
    isOpen = false
  })()
  ended.catch(() => {}) // The test left.
  return { ended, isOpen: () => isOpen, leave: () => leaving.abort() }
}

type Stream = Awaited<ReturnType<Awaited<ReturnType<typeof start>>['openStream']>>

const ends: readonly (readonly [
  string,
  (own: Stream, ada: Call, doors: Doors) => Promise<unknown>,
])[] = [
  [
    'its connection is revoked',
    ({ call, connectionId }) => call('POST', `/connections/${connectionId}/revoke`, {}),
  ],
  [
    'its connection is deleted',
    ({ call, connectionId }) => call('DELETE', `/connections/${connectionId}`),
  ],
  [
    'an administrator revokes it',
    ({ connectionId }, ada) => ada('POST', `/connections/${connectionId}/revoke`, { reason: 'x' }),
  ],
  [
    'the consent is taken back',
    async ({ call }) => {
      const grants = await call('GET', '/grants')
      for (const { id } of grants.json.items) await call('DELETE', `/grants/${id}`)
    },
  ],
]

for (const [what, end] of ends) {
  test(
    `an open stream ends when ${what}, and no other one does`,
    { timeout: 30_000 },
    async (t) => {
      verifies(t, 'S1-66', 'A1-13')
      const { doors, ada, openStream } = await start(t)
      const [own, other] = [await openStream('eve'), await openStream('ada')]
      await end(own, ada, doors)
      await own.ended
      assert.equal(other.isOpen(), true)
    },
  )
}

test(
  'open streams of everybody end when their server is removed',
  { timeout: 30_000 },
  async (t) => {
    verifies(t, 'S1-66')
    const { ada, server, openStream } = await start(t)
    const streams = [await openStream('eve'), await openStream('ada')]
    assertAnswer(await ada('DELETE', `/servers/${server.id}`), { status: 204 })
    await Promise.all(streams.map(({ ended }) => ended))
  },
)
