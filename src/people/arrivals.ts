// Somebody comes from a provider of the tenant: which person here that is. The pair of issuer and subject is one person and
// nobody else; an address joins two only when both sides have verified it and the tenant allows it (A4-11).
import { Fault, isFault } from '../base/fault.ts'
import type { Actor } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import type { ProvidedPerson } from '../upstream/person-claims.ts'
import type { SignInProvider } from '../upstream/sign-in-provider.ts'
import type { Identities, IdentityKey } from './identities.ts'
import type { Tenant } from './tenants.ts'
import { addressIn } from './users.ts'
import type { User, Users } from './users.ts'

/** Gives the person, made if there is none. Throws Fault('forbidden') for one who may not sign in. */
export type Arrive = (
  tenant: Tenant,
  provider: SignInProvider,
  person: ProvidedPerson,
) => Promise<User>

/**
 * A person who is signed in here has signed in at the provider too: from now on that subject is theirs. Throws Fault('forbidden'),
 * and changes nothing, where it is another's, or from elsewhere than the tenant allows.
 */
export type Join = (
  tenant: Tenant,
  provider: SignInProvider,
  arrival: { readonly person: ProvidedPerson; readonly user: User },
) => Promise<void>

interface Needs {
  readonly db: Database
  readonly users: Pick<Users, 'byId' | 'byEmail'>
  readonly identities: Identities
}

const system: Actor = { kind: 'system' }

/** Makes it over one database. */
export function createArrive(needs: Needs): Arrive {
  const { db, users, identities } = needs
  return async (tenant, provider, person) => {
    requireDomain(provider, person)
    const key = { issuer: provider.issuer, subject: person.subject }
    const known = await identities.find(tenant, key)
    const userId = known ?? (await meet(needs, tenant, { provider, key, person }))
    await db.transaction().execute(async (tx) => {
      await identities.noteUse(tx, tenant, key)
      await learn(tx, tenant, userId, person)
    })
    const user = await users.byId(tenant, userId)
    if (user !== undefined) return user
    throw new Fault('forbidden', {
      because: 'the person is disabled',
      detail: { person: 'This account is switched off. An administrator can switch it on.' },
    })
  }
}

/** Makes the other way in, for who is here already. */
export function createJoin({ db, identities }: Pick<Needs, 'db' | 'identities'>): Join {
  return async (tenant, provider, { person, user }) => {
    requireDomain(provider, person)
    const key = { issuer: provider.issuer, subject: person.subject }
    const owner = await identities.find(tenant, key)
    if (owner !== undefined && owner !== user.id) throw anothers(provider)
    if (owner === undefined) {
      await orAnothers(provider, () =>
        identities.link(tenant, key, { userId: user.id, actor: { kind: 'user', id: user.id } }),
      )
    }
    await db.transaction().execute((tx) => identities.noteUse(tx, tenant, key))
  }
}

async function orAnothers(provider: SignInProvider, work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (thrown) {
    if (!isFault(thrown) || thrown.code !== 'conflict') throw thrown
    throw anothers(provider)
  }
}

function anothers({ name }: SignInProvider): Fault {
  return new Fault('forbidden', {
    because: 'the subject belongs to another person here',
    detail: {
      person: `That account at ${name} belongs to somebody else here. Sign in there with your own.`,
    },
  })
}

function verifiedEmail({ email, emailVerified }: ProvidedPerson): string | undefined {
  return emailVerified && email !== undefined ? addressIn(email) : undefined
}

function requireDomain({ emailDomains, name }: SignInProvider, person: ProvidedPerson): void {
  if (emailDomains.length === 0) return
  const domain = verifiedEmail(person)?.split('@').at(-1)
  if (domain !== undefined && emailDomains.includes(domain)) return
  throw new Fault('forbidden', {
    because: 'the address is unverified or of another domain',
    detail: { email: `Only addresses of ${emailDomains.join(', ')} may come from ${name}.` },
  })
}

/** Somebody new there: a person who is here already, if both sides are sure of the address, or a new one. */
async function meet(
  { users, identities }: Needs,
  tenant: Tenant,
  arrival: {
    readonly provider: SignInProvider
    readonly key: IdentityKey
    readonly person: ProvidedPerson
  },
): Promise<string> {
  const { provider, key, person } = arrival
  const email = verifiedEmail(person)
  const known =
    provider.linksVerifiedEmail && email !== undefined
      ? await users.byEmail(tenant, email)
      : undefined
  if (known?.emailVerified !== true) {
    return identities.findOrCreate(tenant, key, email === undefined ? {} : { verifiedEmail: email })
  }
  try {
    await identities.link(tenant, key, { userId: known.id, actor: system })
    return known.id
  } catch (thrown) {
    if (!isFault(thrown) || thrown.code !== 'conflict') throw thrown
    // The same person in another browser was first.
    return identities.findOrCreate(tenant, key, {})
  }
}

/** What the provider says by now, where we know nothing yet (A4-10); an address only if it is nobody's. */
async function learn(
  tx: Database,
  tenant: Tenant,
  userId: string,
  person: ProvidedPerson,
): Promise<void> {
  const email = verifiedEmail(person)
  const own = tx.updateTable('users').where('tenant_id', '=', tenant.id).where('id', '=', userId)
  if (person.name !== undefined) {
    await own.set({ name: person.name }).where('name', 'is', null).execute()
  }
  if (email === undefined) return
  await own
    .set({ email, email_verified: 1 })
    .where('email', 'is', null)
    .where((is) =>
      is.not(
        is.exists(
          is
            .selectFrom('users as other')
            .select('other.id')
            .where('other.tenant_id', '=', tenant.id)
            .where('other.email', '=', email),
        ),
      ),
    )
    .execute()
}
