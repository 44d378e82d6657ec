// What an app notes of a failed call may be a server's own words, whatever stands in them.
import assert from 'node:assert/strict'
import { startUpstream } from '../counterparts/protected-upstream.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { connect, startApp } from './app.ts'

onEveryDatabase('an error with a NUL in it is noted without', async (t, store) => {
  verifies(t, 'S2-8')
  const { foreign, server } = await startUpstream(t)
  const app = await startApp(t, store)
  const connectionId = await connect(app, 'ada', server.url)
  await app.connectors.noteError('ada', connectionId, new Error('it said \u0000 and left'))
  const [connection] = await app.connectors.connections('ada')
  assert.equal(connection?.lastError, 'it said  and left')
  app.alsoSecret(foreign.tokensIssued())
})
