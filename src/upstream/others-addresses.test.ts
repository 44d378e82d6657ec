// What is told of addresses that a server names: the same for a name inside and for one that is nowhere.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../../test/requirements.ts'
import { systemClock } from '../base/clock.ts'
import { isFault } from '../base/fault.ts'
import { silentLog } from '../base/log.ts'
import { createOutbound } from '../base/outbound.ts'
import { systemRandom } from '../base/random.ts'
import { Secret } from '../base/secret.ts'
import { atOthersAddress } from './others-addresses.ts'
import { createProofs } from './proofs.ts'
import { createTokenEndpoint } from './token-endpoint.ts'

const registration = {
  method: 'preregistered',
  issuer: 'https://as.test',
  redirectUri: 'https://hub.test/connect/callback/x',
  clientId: 'us',
  authMethod: 'none',
} as const

test('a name inside and a name nowhere are told alike, in the reason too', async (t) => {
  verifies(t, 'X-14')
  const outbound = createOutbound(
    {
      log: silentLog,
      clock: systemClock,
      resolve: async (name) => (name === 'inside.test' ? ['10.0.0.1'] : []),
    },
    { allow: [] },
  )
  t.after(() => outbound.close())
  const ground = { random: systemRandom, outbound, clock: systemClock }
  const parts = { ...ground, proofs: createProofs(ground) }
  const { refreshTokens } = createTokenEndpoint(parts)
  const resource = 'https://server.test/mcp'
  const told = new Set<string>()
  for (const name of ['inside.test', 'missing.test', '10.0.0.1']) {
    const url = `https://${name}/token`
    const place = { tokenEndpoint: url, registration, resource }
    const answer = await refreshTokens(place, new Secret('r'))
    assert.ok(answer.kind === 'refused' && answer.refusal === 'trouble')
    told.add(`${answer.fault.code}: ${answer.fault.because}`)
    const fetching = atOthersAddress(() => outbound.fetch({ url, purpose: 'test' }))
    await assert.rejects(fetching, (error) => isFault(error) && error.code === 'discovery_blocked')
  }
  assert.equal(told.size, 1, [...told].join('\n'))
})
