// The first answered call of a grant ends its attempt, once, whoever sees it.
import assert from 'node:assert/strict'
import { createManualClock } from '../base/clock.ts'
import { createTenants } from '../people/tenants.ts'
import { systemRandom } from '../base/random.ts'
import { verifiedPrincipal } from '../people/principal.ts'
import type { TokenPrincipal } from '../people/principal.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { createFirstCalls } from './first-calls.ts'

onEveryDatabase(
  'of fifty first calls at once one belongs to the attempt',
  async (_t, { db }, openAnother) => {
    const clock = createManualClock()
    const tenant = await createTenants({ db, clock, random: systemRandom }).ensureDefault(
      'https://a.test',
    )
    const common = { tenant_id: tenant.id, created_at: 1 }
    await db
      .insertInto('clients')
      .values({
        ...common,
        id: 'c',
        kind: 'registered',
        name: 'C',
        metadata: '{}',
        metadata_digest: '',
        token_endpoint_auth_method: 'none',
      })
      .execute()
    await db
      .insertInto('grants')
      .values({
        ...common,
        id: 'grt_1',
        client_id: 'c',
        resource: 'r',
        scope: '',
        attempt: 'att_1',
        use_count: 0,
      })
      .execute()
    const principal = verifiedPrincipal<TokenPrincipal>({
      kind: 'token',
      tenant,
      user: undefined,
      clientId: 'c',
      grantId: 'grt_1',
      scopes: [],
      resource: 'r',
      attempt: 'att_1',
    })
    const stores = [db, (await openAnother()).db]
    const parts = stores.map((store) => ({ store, attemptOf: createFirstCalls({ clock }) }))
    const ask = (index: number, status: number, reason?: string) => {
      const { store, attemptOf } = parts[index % 2]!
      return store.transaction().execute((tx) => attemptOf(tx, { principal, status, reason }))
    }

    // What was not answered is part of it as well, the same once in a while.
    assert.equal(await ask(0, 502, 'server_unreachable'), 'att_1')
    assert.equal(await ask(0, 502, 'server_unreachable'), undefined)
    assert.equal(await ask(0, 500), 'att_1')
    await clock.advance(10 * 60_000)
    assert.equal(await ask(0, 500), 'att_1')

    const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => ask(index, 200)))
    assert.deepEqual(
      answers.filter((attempt) => attempt !== undefined),
      ['att_1'],
    )
    const { first_call_at: at } = await db
      .selectFrom('grants')
      .select('first_call_at')
      .executeTakeFirstOrThrow()
    assert.equal(at, clock.now())
    const { attempt: _over, ...later } = principal
    const over = await db.transaction().execute((tx) =>
      parts[0]!.attemptOf(tx, {
        principal: later,
        status: 200,
        reason: undefined,
      }),
    )
    assert.equal(over, undefined)
  },
)
