// What a stream that stays open hangs on, beside what the doors show: who its caller may be changes too.
import assert from 'node:assert/strict'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { silentLog } from '../base/log.ts'
import { createBench } from '../connectors/bench.rig.ts'
import { operatorAtTheMachine } from '../people/principal.ts'
import { createUserAdministration } from '../people/user-administration.ts'
import { createPasswords } from '../people/passwords.ts'
import { createSetup } from '../people/setup.ts'
import { createTenantAdministration } from '../people/tenant-administration.ts'
import { createTenants } from '../people/tenants.ts'
import { createUsers } from '../people/users.ts'
import { createOpenStreams } from './open-streams.ts'

onEveryDatabase(
  'a stream ends with the role of its caller, who may have been let in for that alone',
  async (t, store) => {
    verifies(t, 'S1-14', 'A1-13')
    const bench = await createBench(t, store)
    const [ada, eve] = [await bench.person('ada', 'admin'), await bench.person('eve', 'admin')]
    await bench.person('root', 'operator')
    const streams = createOpenStreams({ ...bench, log: silentLog })
    t.after(streams.close)
    const ended: string[] = []
    const open = ({ user }: typeof ada) =>
      streams.watch({
        principal: { tenant: bench.tenant, user, grantId: `gnt_${user.id}`, clientId: 'cli_a' },
        serverId: 'srv_a',
        connectionId: undefined,
        ownerId: undefined,
        holds: async () => true,
        end: () => ended.push(user.id),
      })
    open(ada)
    open(eve)
    await bench.clock.advance(1_000)

    const passwords = createPasswords(bench)
    const users = createUsers({ ...bench, passwords })
    const administration = createUserAdministration({
      ...bench,
      passwords,
      users,
      personEnds: async () => {},
      appsEnd: async () => {},
    })
    await administration.update(operatorAtTheMachine(bench.tenant), eve.user.id, { role: 'user' })
    await bench.journal.seal()
    assert.deepEqual(ended, [eve.user.id])
  },
)

for (const end of ['switched off', 'removed'] as const) {
  onEveryDatabase(`streams end with a tenant that is ${end}, and no others`, async (t, store) => {
    verifies(t, 'S4-1', 'A1-13')
    const bench = await createBench(t, store)
    const { user } = await bench.person('ada', 'admin')
    const users = createUsers({ ...bench, passwords: createPasswords(bench) })
    const administration = createTenantAdministration({
      ...bench,
      setup: createSetup({ ...bench, users }),
    })
    const by = operatorAtTheMachine(bench.tenant)
    const wish = { slug: 'acme-co', issuer: 'https://acme.test', name: 'Acme' }
    const { id } = await administration.create(by, wish)
    const acme = (await createTenants(bench).byId(id)) ?? assert.fail()
    const streams = createOpenStreams({ ...bench, log: silentLog })
    t.after(streams.close)
    const ended: string[] = []
    for (const tenant of [acme, bench.tenant]) {
      streams.watch({
        principal: { tenant, user, grantId: 'gnt_a', clientId: 'cli_a' },
        serverId: 'srv_a',
        connectionId: undefined,
        ownerId: undefined,
        holds: async () => true,
        end: () => ended.push(tenant.slug),
      })
    }
    await bench.clock.advance(1_000)

    if (end === 'removed') await administration.remove(by, id)
    else await administration.update(by, id, { disabled: true })
    await bench.journal.seal()
    assert.deepEqual(ended, [acme.slug])
  })
}
