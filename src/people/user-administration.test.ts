import assert from 'node:assert/strict'
import { createManualClock } from '../base/clock.ts'
import { isFault } from '../base/fault.ts'
import { createKeyring } from '../base/keyring.ts'
import { systemRandom } from '../base/random.ts'
import { createJournal } from '../journal/entries.ts'
import type { Store } from '../store/database.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { createPasswords } from './passwords.ts'
import { operatorAtTheMachine } from './principal.ts'
import { createTenants } from './tenants.ts'
import { createUserAdministration } from './user-administration.ts'
import { createUsers } from './users.ts'

onEveryDatabase('of all operators who step down at once, one stays', async (_t, { db }) => {
  const { administration, by } = await start(db)
  const ids: string[] = []
  const stepsDown = [{ role: 'user' }, { disabled: true }] as const
  for (let count = 0; count < 50; count += 1) {
    const email = `o${count}@example.com`
    const { user } = await administration.create(by, { email, role: 'operator' })
    ids.push(user.id)
  }
  const outcomes = await Promise.allSettled(
    ids.map((id, index) => administration.update(by, id, stepsDown[index % 2] ?? {})),
  )
  const refusals = outcomes.filter((outcome) => outcome.status === 'rejected')
  assert.equal(refusals.length, 1)
  assert.ok(refusals.every(({ reason }) => isFault(reason) && reason.code === 'conflict'))
  const { items } = await administration.list(by)
  const left = items.filter(({ role, disabled }) => role === 'operator' && !disabled)
  assert.equal(left.length, 1)
})

onEveryDatabase('a new password replaces the one before', async (_t, { db }) => {
  const { administration, users, tenant, by } = await start(db)
  const email = 'ada@example.com'
  const made = await administration.create(by, { email, role: 'admin' })
  assert.equal((await users.verifyPassword(tenant, email, made.password))?.id, made.user.id)
  const reset = await administration.resetPassword(by, made.user.id)
  assert.equal(await users.verifyPassword(tenant, email, made.password), undefined)
  assert.equal((await users.verifyPassword(tenant, email, reset.password))?.id, made.user.id)
  for (const work of [
    () => administration.resetPassword(by, 'usr_nobody'),
    () => administration.update(by, 'usr_nobody', { role: 'user' }),
    () => administration.remove(by, 'usr_nobody'),
  ]) {
    await assert.rejects(work, (error) => isFault(error) && error.code === 'not_found')
  }
})

async function start(db: Store['db']) {
  const random = systemRandom
  const clock = createManualClock()
  const keyring = createKeyring({ random }, [{ id: 'test', key: random.bytes(32) }])
  const ground = { db, clock, random, journal: createJournal({ db, clock, random, keyring }) }
  const passwords = createPasswords(ground)
  const users = createUsers({ ...ground, passwords })
  const administration = createUserAdministration({
    ...ground,
    passwords,
    users,
    personEnds: async () => {},
    appsEnd: async () => {},
  })
  const tenant = await createTenants(ground).ensureDefault('https://auth.test')
  return { administration, users, tenant, by: operatorAtTheMachine(tenant) }
}
