// ID tokens that are kept for a person: until when, whatever way their issuer writes it.
import assert from 'node:assert/strict'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { Secret } from '../base/secret.ts'
import { createBench } from '../connectors/bench.rig.ts'
import { createSubjectTokens } from './subject-tokens.ts'

const issuer = 'https://company.example'

function idToken(exp: number): Secret {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return new Secret(`${part({ alg: 'none' })}.${part({ iss: issuer, sub: 'ada', exp })}.x`)
}

// RFC 7519 §2: a NumericDate may have a fraction, and the table counts whole milliseconds.
onEveryDatabase('an end with a fraction is kept to the millisecond before it', async (t, store) => {
  verifies(t, 'C32')
  const bench = await createBench(t, store)
  const ada = await bench.person('ada')
  const subject = { tenantId: bench.tenant.id, userId: ada.user.id }
  const tokens = createSubjectTokens(bench)
  const endsAt = bench.clock.now() + 60_000
  const token = idToken(endsAt / 1000 + 0.000_4)
  assert.deepEqual(await tokens.keep(store.db, subject, token), { issuer, expiresAt: endsAt })
  await bench.clock.advance(60_000 - 1)
  assert.equal((await tokens.find(subject, issuer))?.reveal(), token.reveal())
  await bench.clock.advance(1)
  assert.equal(await tokens.find(subject, issuer), undefined)
})
