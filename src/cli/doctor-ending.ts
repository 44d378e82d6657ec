// Where the walk ends: what a person will see who connects, or the first thing that stands in the way. Pure.
import { authorizationUrl } from '../upstream/adapt.ts'
import type { Discovery } from '../upstream/discover.ts'
import type { RegistrationWay } from '../upstream/register.ts'
import { chooseScopes } from '../upstream/scopes.ts'
import { wayOf } from './doctor-client.ts'
import type { Us } from './doctor-client.ts'
import type { Finding } from './doctor-finding.ts'
import type { Look } from './doctor-look.ts'

export type Ending =
  | {
      readonly kind: 'sign_in'
      readonly words: string
      readonly registration: RegistrationWay
      /** What the browser opens; words in capitals stand for what is made anew for each sign-in. */
      readonly authorizationUrl: string
    }
  | { readonly kind: 'open' | 'headers'; readonly words: string }
  | { readonly kind: 'stopped'; readonly words: string; readonly finding: string }

/** How it ends. */
export function endingOf(look: Look, findings: readonly Finding[], us: Us): Ending {
  const stop = findings.find(({ stops }) => stops === true)
  if (stop !== undefined) {
    const words = `Nobody can connect. In the way is: ${stop.words}`
    return { kind: 'stopped', words, finding: stop.code }
  }
  if (look.outcome.kind === 'refused') {
    const { message, code } = look.outcome.fault
    return { kind: 'stopped', words: `Nobody can connect. ${message}`, finding: code }
  }
  const { inspection } = look.outcome
  if (inspection.kind === 'oauth') return signIn(inspection.discovery, us)
  const { kind } = inspection
  return { kind, words: unsigned[kind] }
}

const unsigned = {
  open: 'Nobody has to sign in: it is open to everybody, and so Latchkey calls it without a token.',
  headers:
    'It wants something that it does not name, and nothing of OAuth; most often a fixed API key. Add it with --auth headers --header "Authorization: Bearer …" (latchkey servers add).',
} as const

function signIn(discovery: Discovery, us: Us): Ending {
  const registration = wayOf(discovery, us)
  const context = 'CONTEXT'
  const clientIds: Record<RegistrationWay, string> = {
    preregistered: us.clientId ?? placeholder,
    cimd: `${us.publicUrl}/connect/client-metadata/${context}.json`,
    dcr: placeholder,
    none: placeholder,
  }
  const url = authorizationUrl(
    {
      authorizationEndpoint: discovery.metadata.authorization_endpoint,
      clientId: clientIds[registration],
      redirectUri: `${us.publicUrl}/connect/callback/${context}`,
      issuer: discovery.issuer,
      resource: discovery.resource,
      scopes: chooseScopes(discovery, { configured: us.scopes }),
    },
    { state: 'STATE', challenge: 'CODE_CHALLENGE' },
  )
  const { host } = new URL(discovery.metadata.authorization_endpoint)
  const guessed = discovery.isGuessed
    ? ' Nothing is published about it, so this may turn out otherwise.'
    : ''
  const words = `Whoever presses Connect signs in at ${host}, agrees there, and comes back to ${new URL(us.publicUrl).host}.${guessed}`
  return { kind: 'sign_in', words, registration, authorizationUrl: url }
}

const placeholder = 'CLIENT_ID'
