// `latchkey attempts` and `latchkey usage` beside a running server.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { signInClient } from '../flows/signed-in-client.ts'
import { operator } from '../harness.ts'
import { verifies } from '../requirements.ts'
import { openBeside, openShell } from './command.ts'

test('the command line shows who tried to connect, and why it failed', async (t) => {
  verifies(t, 'S3-39')
  const shell = await openShell(t)
  await shell.run('migrate')
  assert.match((await shell.run('attempts')).out, /^No client has tried to connect yet\./)
  await shell.start()
  const { client } = await signInClient({ origin: shell.origin, url: `${shell.origin}/mcp` })
  await client.close()
  const dead = 'client_id=mcp_oauth_gone&redirect_uri=https%3A%2F%2Fapp.test%2Fcb'
  await fetch(`${shell.origin}/oauth/authorize?${dead}`, { headers: { 'user-agent': 'Dead/1.0' } })

  const listed = await untilConnected(shell)
  const [failed, good] = listed.items
  assert.deepEqual([failed.finding, failed.agent], ['client_unknown', 'Dead/1.0'])
  assert.equal(good.person.email, operator.email)
  const list = await shell.run('attempts')
  assert.match(list.out, /^WHEN \(UTC\) +ID +CLIENT +SERVER +PERSON +OUTCOME +REASON$/m)
  assert.match(list.out, /A test client +http:\S+\/mcp +ada@example\.com +connected$/m)
  assert.match(list.out, /failed +client_unknown$/m)

  const shown = await shell.run('attempts', failed.id)
  assert.match(shown.out, /^FAILED: The client came with a client id that is not known here/m)
  assert.match(shown.out, /authorization\.refused +error=invalid_client/)
  assert.match(shown.out, /^ +What to do: +Remove the server in the client/m)
  const line = await shell.run('attempts', good.id)
  assert.match(line.out, /^A test client → http:\S+\/mcp for ada@example\.com\nCONNECTED: /)
  const steps = ['discovery.answered', 'client.registered', 'token.issued', 'call.completed']
  const places = steps.map((step) => line.out.indexOf(step))
  assert.deepEqual(
    places,
    places.toSorted((one, other) => one - other),
  )
  assert.ok((places[0] ?? -1) > 0)
  const read = await shell.json('attempts', good.id)
  assert.equal(read.diagnosis.outcome, 'connected')
  assert.equal(read.items.at(-1).type, 'call.completed')

  const unknown = await shell.run('attempts', 'att_nothing')
  assert.deepEqual([unknown.code, unknown.out], [1, ''])
  assert.match(unknown.error, /There is no attempt att_nothing/)

  const usage = await shell.run('usage')
  assert.match(usage.out, /^ +1 {2}tokens that work$/m)
  assert.match(usage.out, /^ +1 {2}A test client \(mcp_oauth_\w+\)$/m)
  const numbers = await shell.json('usage')
  assert.equal(numbers.activeClients, 1)
  assert.equal(numbers.tokensPerDay.length, 30)

  const { db } = await openBeside(t, shell)
  await db.schema.alterTable('attempts').renameTo('elsewhere').execute()
  const broken = await shell.run('attempts', good.id)
  assert.equal(broken.code, 1)
  assert.doesNotMatch(broken.error, /There is no attempt/, 'a broken database is not a wrong id')
})

/** A running server writes calls and notes a moment after their answers. */
async function untilConnected(shell: Awaited<ReturnType<typeof openShell>>) {
  for (let tries = 0; tries < 20; tries += 1) {
    const listed = await shell.json('attempts')
    const outcomes = new Set(listed.items.map(({ outcome }: { outcome: string }) => outcome))
    if (outcomes.has('connected') && outcomes.has('failed')) return listed
  }
  return assert.fail('the attempts did not show up')
}
