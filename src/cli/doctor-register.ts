// `latchkey doctor --register`: tries a dynamic registration for real, and takes it back where the server lets us.
import type { Clock } from '../base/clock.ts'
import { isFault } from '../base/fault.ts'
import type { Fault } from '../base/fault.ts'
import { silentLog } from '../base/log.ts'
import type { Outbound } from '../base/outbound.ts'
import type { Discovery } from '../upstream/discover.ts'
import { registerDynamically, unregister } from '../upstream/dynamic-registration.ts'
import type { NewRegistration } from '../upstream/dynamic-registration.ts'
import { chooseScopes } from '../upstream/scopes.ts'
import { byHand } from './doctor-client.ts'
import type { Us } from './doctor-client.ts'
import { explain } from './doctor-faults.ts'
import { note, right, stopping, wrong } from './doctor-finding.ts'
import type { Finding } from './doctor-finding.ts'

interface Needs {
  readonly outbound: Outbound
  readonly clock: Clock
}

const about = 'client'

/** Registers, says what came of it, and takes the registration away again. */
export async function tryRegistration(
  needs: Needs,
  discovery: Discovery,
  us: Us,
): Promise<readonly Finding[]> {
  const url = discovery.metadata.registration_endpoint ?? discovery.issuer
  try {
    const made = await registerDynamically(
      { ...needs, log: silentLog },
      {
        metadata: discovery.metadata,
        clientName: 'Latchkey',
        serverName: 'latchkey doctor',
        redirectUri: `${us.publicUrl}/connect/callback/doctor`,
        scopes: chooseScopes(discovery, { configured: us.scopes }),
      },
    )
    return [registered(made), await takenBack(needs, made)]
  } catch (error) {
    if (!isFault(error)) throw error
    return [stopping(refused(error, url))]
  }
}

function registered({ clientId, authMethod, clientSecretExpiresAt }: NewRegistration): Finding {
  const until =
    clientSecretExpiresAt === undefined
      ? ''
      : `, with a secret until ${new Date(clientSecretExpiresAt).toISOString()}`
  const proof = authMethod === 'none' ? 'without a secret' : `by ${authMethod}${until}`
  const words = `It registered Latchkey as ${clientId}, which proves itself ${proof}.`
  return right({ about, code: 'registered', words, clause: 'RFC 7591 §3.2.1' })
}

async function takenBack(needs: Needs, made: NewRegistration): Promise<Finding> {
  const clause = 'RFC 7592 §2.3'
  const isGone = await unregister(needs, made).catch((error: unknown) => {
    if (isFault(error)) return false // It stays there; that is what is said.
    throw error
  })
  if (isGone) return right({ about, code: 'unregistered', words: 'It deleted that again.', clause })
  const words = `It keeps ${made.clientId}, because it offers no way to delete it. It is used for nothing.`
  return note({ about, code: 'registration_stays', words, clause })
}

const address =
  'It does not take our redirect URI: check that LATCHKEY_PUBLIC_URL is the public https address.'

function refused(fault: Fault, url: string): Finding {
  const isAnswered = /^registration_(?:failed|not_supported)$/.test(fault.code)
  if (!isAnswered) return explain(fault, { about, url })
  return wrong({
    about,
    code: fault.code,
    words: `It did not register Latchkey: ${fault.because}.`,
    clause: 'RFC 7591 §3.2.2',
    mend: {
      by: 'administrator',
      how: /invalid_redirect_uri/.test(fault.because) ? address : byHand,
    },
  })
}
