// Connections that are made when a call first needs them, and what the journal says of whose they are.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { startFaultProvider } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import type { Store } from '../store/database.ts'
import { ownConnection } from './alone.ts'
import { createBench } from './bench.rig.ts'
import type { ServerInput } from './server-input.ts'

const client = { auth: 'oauth', clientId: 'us', clientSecret: 'a secret there' } as const
const everybodys = { ...client, grantType: 'client_credentials' } as const
const persons = {
  ...client,
  grantType: 'id_jag',
  identityProvider: {
    issuer: 'http://localhost:9',
    tokenEndpoint: 'http://localhost:9/token',
    clientId: 'us-at-the-company',
  },
} as const

async function needFiftyTimes(t: TestContext, store: Store, input: Omit<ServerInput, 'url'>) {
  const { mcpUrl: url, stop } = await startFaultProvider()
  t.after(stop)
  const bench = await createBench(t, store)
  const root = await bench.person('root', 'admin')
  const ada = await bench.person('ada')
  const server = await bench.servers.create(root.session, { ...input, url })
  const caller = { tenant: bench.tenant, user: ada.user }
  const needed = await Promise.all(
    Array.from({ length: 50 }, () => ownConnection(bench, caller, server)),
  )
  const entries = await bench.journal.list({
    tenantId: bench.tenant.id,
    type: 'connection.created',
  })
  const told = entries.map(({ actor, userId, data, subject }) => ({
    actor: actor.kind,
    userId,
    data,
    id: subject?.id,
  }))
  return { serverId: server.id, ids: [...new Set(needed.map(({ id }) => id))], told }
}

onEveryDatabase('what a person’s company says is told as that person’s alone', async (t, store) => {
  verifies(t, 'C32')
  const { serverId, ids, told } = await needFiftyTimes(t, store, persons)
  const [id, ...others] = ids
  assert.deepEqual(others, [])
  assert.deepEqual(told, [{ actor: 'system', userId: 'usr_ada', data: { serverId }, id }])
})

onEveryDatabase('our own credential is told as shared, and as nobody’s', async (t, store) => {
  verifies(t, 'C33')
  const { serverId, ids, told } = await needFiftyTimes(t, store, everybodys)
  const [id, ...others] = ids
  assert.deepEqual(others, [])
  const data = { serverId, shared: true }
  assert.deepEqual(told, [{ actor: 'system', userId: undefined, data, id }])
})
