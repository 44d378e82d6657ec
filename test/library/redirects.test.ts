// A server that sends calls elsewhere: what is shown to it goes nowhere else.
import assert from 'node:assert/strict'
import { listenOnLoopback } from '../counterparts/loopback.ts'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { connect, startApp } from './app.ts'

onEveryDatabase('fixed headers follow no redirect to another server', async (t, store) => {
  verifies(t, 'X-16')
  const other = await startOpenMcpServer()
  const moved = await listenOnLoopback(() => (_request, response) => {
    response.writeHead(307, { location: other.url }).end()
  })
  t.after(async () => {
    await other.stop()
    await moved.stop()
  })
  const app = await startApp(t, store)
  const headers = { 'x-api-key': 'k-fedcba9876543210' }
  const url = `${moved.origin}/mcp`
  const added = await app.connectors.servers.add({ url, auth: 'headers', headers })
  const connectionId = await connect(app, 'ada', added.id)
  const { options } = await app.connectors.transportFor('ada', connectionId)
  const answer = await options.fetch?.(url, { method: 'POST', body: '{}' })
  assert.deepEqual(
    other.calls().map((call) => call.headers['x-api-key']),
    [],
  )
  assert.equal(answer?.status, 307, 'the caller is told')
  app.alsoSecret([headers['x-api-key']])
})
