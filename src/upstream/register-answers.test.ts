// What a registration endpoint may answer that no database takes: it neither ends a sign-in nor is believed.
import assert from 'node:assert/strict'
import { startFaultProvider } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { createBench } from '../connectors/bench.rig.ts'

const odd = [
  { registration_client_uri: 'https://as.example/register/\u0000' },
  { client_secret: 's3cret', client_secret_expires_at: 1e300 },
  { client_secret: 's3cret', client_secret_expires_at: 4_000_000_000.1234 },
]

onEveryDatabase('odd answers of a registration endpoint end no sign-in', async (t, store) => {
  verifies(t, 'S1-34')
  const bench = await createBench(t, store)
  const ada = await bench.person('ada')
  for (const registrationFields of odd) {
    const provider = await startFaultProvider({ registrationFields })
    t.after(provider.stop)
    const { connection } = await bench.connect(ada, provider.mcpUrl)
    const begun = await bench.connections.authorize(ada.session, connection.id, {
      browser: ada.browser,
    })
    assert.ok('authorizeUrl' in begun)
  }
})
