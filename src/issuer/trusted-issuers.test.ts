import assert from 'node:assert/strict'
import { exportJWK, generateKeyPair } from 'jose'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { isFault } from '../base/fault.ts'
import { createMachine, createRig, refused } from './issuer.rig.ts'
import type { Rig } from './issuer.rig.ts'
import type { NewTrustedIssuer } from './trusted-issuer-input.ts'

const idp = 'https://idp.test'
const jwksUri = 'https://idp.test/jwks'

onEveryDatabase('a trusted issuer is made, changed, listed and removed', async (t, store) => {
  const rig = await createRig(t, store)
  const { trustedIssuers } = rig.issuer
  const by = { tenant: rig.tenant }
  const made = await trustedIssuers.create(by, { issuer: idp, jwksUri })
  const { id, ...facts } = made
  assert.match(id, /^iss_\w+$/)
  assert.deepEqual(facts, {
    issuer: idp,
    jwksUri,
    clientIds: [],
    resources: [],
    provisions: false,
    disabled: false,
    createdAt: rig.clock.now(),
  })
  assert.deepEqual(await trustedIssuers.get(by, id), made)
  const agent = await createMachine(rig)
  const { publicKey } = await generateKeyPair('ES256')
  const jwks = { keys: [await exportJWK(publicKey)] }
  const changed = await trustedIssuers.update(by, id, {
    jwks,
    clientIds: [agent.id],
    provisions: true,
  })
  assert.deepEqual([changed.jwks, changed.jwksUri], [jwks, undefined])
  assert.deepEqual([changed.clientIds, changed.provisions], [[agent.id], true])
  await refused(trustedIssuers.create(by, { issuer: idp, jwksUri }), 'conflict')

  const others = await Promise.all(
    [1, 2, 3].map((n) => trustedIssuers.create(by, { issuer: `${idp}/${n}`, jwksUri })),
  )
  const first = await trustedIssuers.list(by, { limit: 3 })
  const rest = await trustedIssuers.list(by, { limit: 3, cursor: first.nextCursor ?? '' })
  const seen = [...first.items, ...rest.items].map((one) => one.id)
  assert.deepEqual(seen, [id, ...others.map((one) => one.id)].sort())
  assert.equal(rest.nextCursor, undefined)
  await refused(trustedIssuers.list(by, { cursor: 'x' }), 'invalid_input')

  assert.equal((await trustedIssuers.update(by, id, { disabled: true })).disabled, true)
  await trustedIssuers.remove(by, id)
  await refused(trustedIssuers.get(by, id), 'not_found')
  await refused(trustedIssuers.remove(by, id), 'not_found')
  const told = (await rig.journalTypes()).filter((type) => type.startsWith('trusted_issuer.'))
  assert.deepEqual(told, [
    'trusted_issuer.created',
    'trusted_issuer.updated',
    'trusted_issuer.created',
    'trusted_issuer.created',
    'trusted_issuer.created',
    'trusted_issuer.disabled',
    'trusted_issuer.deleted',
  ])
})

onEveryDatabase(
  'what cannot be trusted is refused with the field that is wrong',
  async (t, store) => {
    const rig = await createRig(t, store)
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
    const key = await exportJWK(publicKey)
    const good = { issuer: idp, jwksUri }
    const wrong: Readonly<Record<string, readonly NewTrustedIssuer[]>> = {
      issuer: [
        { ...good, issuer: 'idp' },
        { ...good, issuer: 'http://idp.test' },
        { ...good, issuer: `${idp}?x=1` },
        { ...good, issuer: `${idp}#x` },
        { ...good, issuer: 'https://127.0.0.1' },
        { ...good, issuer: rig.tenant.issuer },
      ],
      jwksUri: [
        { issuer: idp },
        { ...good, jwks: { keys: [key] } },
        { ...good, jwksUri: 'http://idp.test/jwks' },
        { ...good, jwksUri: 'https://169.254.169.254/jwks' },
        { ...good, jwksUri: 'file:///etc/passwd' },
      ],
      jwks: [
        { issuer: idp, jwks: {} },
        { issuer: idp, jwks: { keys: [] } },
        { issuer: idp, jwks: { keys: [await exportJWK(privateKey)] } },
        { issuer: idp, jwks: { keys: [{ kty: 'oct', k: 'x' }] } },
      ],
      clientIds: [{ ...good, clientIds: ['mcp_oauth_nobody'] }],
      resources: [{ ...good, resources: ['https://evil.test/mcp'] }],
    }
    for (const [field, inputs] of Object.entries(wrong)) {
      for (const input of inputs) await saysField(rig, input, field)
    }
    assert.deepEqual(await rig.db.selectFrom('trusted_issuers').selectAll().execute(), [])
  },
)

onEveryDatabase('a subject belongs to one person', async (t, store) => {
  const rig = await createRig(t, store)
  const { trustedIssuers } = rig.issuer
  const by = { tenant: rig.tenant }
  const { id } = await trustedIssuers.create(by, { issuer: idp, jwksUri })
  const [ada, eve] = [await rig.signIn('ada'), await rig.signIn('eve')]
  const subject = 'a-1'
  const linked = await trustedIssuers.link(by, id, { subject, userId: ada.user.id })
  assert.deepEqual([linked.issuer, linked.userId], [idp, ada.user.id])
  assert.deepEqual(await trustedIssuers.link(by, id, { subject, userId: ada.user.id }), linked)
  await refused(trustedIssuers.link(by, id, { subject, userId: eve.user.id }), 'conflict')
  await refused(trustedIssuers.link(by, id, { subject: 'b', userId: 'usr_nobody' }), 'not_found')
  for (const odd of ['', '\0', 'é', 'x'.repeat(256)]) {
    const identity = { subject: odd, userId: ada.user.id }
    await refused(trustedIssuers.link(by, id, identity), 'invalid_input')
    await refused(trustedIssuers.unlink(by, id, odd), 'not_found')
  }
  await trustedIssuers.unlink(by, id, subject)
  await refused(trustedIssuers.unlink(by, id, subject), 'not_found')
  await trustedIssuers.link(by, id, { subject, userId: eve.user.id })
})

onEveryDatabase('fifty at once trust an issuer once', async (t, store) => {
  const rig = await createRig(t, store)
  const by = { tenant: rig.tenant }
  const outcomes = await Promise.allSettled(
    Array.from({ length: 50 }, () =>
      rig.issuer.trustedIssuers.create(by, { issuer: idp, jwksUri }),
    ),
  )
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
})

onEveryDatabase('only administrators say whom to trust', async (t, store) => {
  const rig = await createRig(t, store)
  const { trustedIssuers } = rig.issuer
  const { id } = await trustedIssuers.create({ tenant: rig.tenant }, { issuer: idp, jwksUri })
  const by = await rig.signIn()
  const identity = { subject: 'x', userId: by.user.id }
  for (const call of [
    () => trustedIssuers.create(by, { issuer: `${idp}/2`, jwksUri }),
    () => trustedIssuers.list(by),
    () => trustedIssuers.get(by, id),
    () => trustedIssuers.update(by, id, { disabled: true }),
    () => trustedIssuers.link(by, id, identity),
    () => trustedIssuers.unlink(by, id, 'x'),
    () => trustedIssuers.remove(by, id),
  ]) {
    await refused(call(), 'forbidden')
  }
})

async function saysField({ issuer, tenant }: Rig, input: NewTrustedIssuer, field: string) {
  await assert.rejects(issuer.trustedIssuers.create({ tenant }, input), (error) => {
    assert.ok(isFault(error), String(error))
    assert.equal(error.code, 'invalid_input')
    assert.deepEqual(Object.keys(error.detail ?? {}), [field], JSON.stringify(input))
    return true
  })
}
