// A registration for each page of an app that takes the callback: how many of them one server bears.
import assert from 'node:assert/strict'
import { startFaultProvider } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { code } from '../base/fault.rig.ts'
import { createBench } from '../connectors/bench.rig.ts'
import { appPagesMax } from './register.ts'

onEveryDatabase('pages made up by one person register no client without end', async (t, store) => {
  verifies(t, 'S1-55', 'P-13')
  const provider = await startFaultProvider()
  t.after(provider.stop)
  const bench = await createBench(t, store)
  const { upstream, tenant } = bench
  const ada = await bench.person('ada')
  const { server } = await bench.connect(ada, provider.mcpUrl)
  const context = (await bench.servers.byId(tenant, server.id))?.context ?? ''
  const discovery = await upstream.discover.discover({ tenant, serverUrl: provider.mcpUrl })
  const register = (appUri?: string) => {
    const facts = { tenant, server: { ...server, context }, discovery, scopes: [], appUri }
    return upstream.register.registrationFor(facts)
  }
  const page = (number: number) => `https://app.example/page-${number}/${context}`
  for (let number = 0; number < appPagesMax; number += 1) await register(page(number))
  await assert.rejects(register(page(appPagesMax)), code('invalid_input'))
  assert.equal(provider.registrations().length, appPagesMax)

  assert.equal((await register(page(3))).redirectUri, page(3), 'a known one goes on')
  assert.equal((await register()).method, 'dcr', 'and so does our own')
})
