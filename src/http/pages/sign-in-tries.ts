// How often somebody may try a password. What weighs are failures, by place and by person; a browser in which the person
// signed in before has tries of its own, so that strangers who guess cannot keep the person out of their own browser.
import type { Keyring } from '../../base/keyring.ts'
import type { Random } from '../../base/random.ts'
import { randomId } from '../../base/random.ts'
import { Secret } from '../../base/secret.ts'
import type { User } from '../../people/users.ts'
import { knownCookie, readCookie, writeCookie } from '../cookies.ts'
import type { Meter } from '../meter.ts'
import type { Visit } from '../route.ts'

export interface SignInTries {
  /** Has a password looked at, if there is a try left. Throws Fault('too_many_requests') otherwise. */
  readonly counting: (
    visit: Visit,
    email: string,
    verify: () => Promise<User | undefined>,
  ) => Promise<User | undefined>
  /** The Set-Cookie line that says that this person signed in here. */
  readonly remember: (visit: Visit, email: string) => string
}

interface Needs {
  readonly keyring: Pick<Keyring, 'sign' | 'verify'>
  readonly random: Random
}

const rememberedS = 180 * 24 * 3600

/** Makes the tries of all people. */
export function createSignInTries(needs: Needs): SignInTries {
  return {
    // Counted before the password is looked at, so that no more of them run at once than may; a right one is given back.
    counting: async (visit, email, verify) => {
      const counted = triesOf(browserOf(needs, visit, personOf(email)), personOf(email))
      for (const [name, key] of counted) await visit.meter.take(name, key)
      const user = await verify()
      if (user === undefined) return undefined
      for (const [name, key] of counted) await visit.meter.giveBack(name, key)
      return user
    },

    remember: (visit, email) => {
      const person = personOf(email)
      const browser = browserOf(needs, visit, person) ?? randomId(needs.random, '')
      const tag = needs.keyring.sign('known_browser', factsOf(visit, person, browser))
      return writeCookie(visit.tenant, knownCookie, new Secret(`${browser}.${tag}`), rememberedS)
    },
  }
}

function triesOf(
  browser: string | undefined,
  person: string,
): readonly (readonly [Parameters<Meter['take']>[0], string])[] {
  const atThisPlace = ['sign-in-place', ''] as const
  if (browser !== undefined) return [['sign-in-known', browser], atThisPlace]
  return [['sign-in', person], atThisPlace, ['sign-in-person', person]]
}

function personOf(email: string): string {
  return email.trim().toLowerCase()
}

/** The browser, if this person has signed in in it: only we can have written the tag. */
function browserOf({ keyring }: Needs, visit: Visit, person: string): string | undefined {
  const [browser = '', tag = ''] = (
    readCookie(visit.tenant, visit.request, knownCookie)?.reveal() ?? ''
  ).split('.')
  const isOurs = keyring.verify('known_browser', factsOf(visit, person, browser), tag)
  return isOurs ? browser : undefined
}

function factsOf({ tenant }: Visit, person: string, browser: string): string {
  return JSON.stringify([tenant.id, person, browser])
}
