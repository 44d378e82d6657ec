// The authorization code grant (RFC 6749 §4.1.3, RFC 7636 §4.6). Every reason for refusal looks the same from outside.
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { Keyring } from '../../base/keyring.ts'
import { Secret } from '../../base/secret.ts'
import type { Journal } from '../../journal/entries.ts'
import type { Parameters } from '../../oauth/parameters.ts'
import { verifierMatches } from '../../oauth/pkce.ts'
import { parseScope } from '../../oauth/scope.ts'
import type { Database } from '../../store/database.ts'
import { findCode, spendCode } from '../codes.ts'
import { requireKey } from '../dpop-proofs.ts'
import { requireParameter } from '../form-request.ts'
import { endMisusedGrant } from '../grants.ts'
import type { GrantType } from './grant-type.ts'

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly keyring: Keyring
  readonly journal: Journal
}

type FoundCode = NonNullable<Awaited<ReturnType<typeof findCode>>>

/** Makes the grant type `authorization_code`. */
export function createAuthorizationCode(needs: Needs): GrantType {
  const { clock } = needs
  return {
    find: async ({ tenant, client, parameters, jkt }) => {
      const code = new Secret(requireParameter(parameters, 'code'))
      const found = await findCode(needs, tenant, code)
      if (found === undefined) throw refused('there is no such code')
      // A foreign client learns nothing and changes nothing (P-06, P-102).
      if (found.client_id !== client.id) throw refused('the code was made for another client')
      // RFC 9449 §10: nor does anybody without the key that the client named.
      requireKey(found.dpop_jkt, jkt)
      if (found.claimed_at !== null) {
        const misuse = {
          grantId: found.grant_id,
          clientId: client.id,
          reason: 'code_replayed',
        } as const
        await endMisusedGrant(needs, tenant, misuse)
        throw refused('the code was used before')
      }
      requireAlive(found, clock.now())
      requireSameParty(found, parameters)
      return {
        grant: {
          id: found.grant_id,
          userId: found.user_id ?? undefined,
          scopes: parseScope(found.scope),
          resource: found.resource,
          providerGrantId: found.provider_grant_id ?? undefined,
        },
        generation: 1,
        ...(found.attempt === null ? {} : { attempt: found.attempt }),
        signIn: { nonce: found.nonce ?? undefined },
        spend: async (tx) => {
          const isSpent = await spendCode({ tx, clock }, tenant, found.code_digest)
          if (isSpent) return { kind: 'spent' }
          return isExpired(found, clock.now())
            ? { kind: 'expired' }
            : { kind: 'misused', reason: 'code_replayed' }
        },
      }
    },
  }
}

function requireAlive(found: FoundCode, now: number): void {
  if (isExpired(found, now)) throw refused('the code has expired')
  if (found.revoked_at !== null) throw refused('the grant of the code has ended')
}

function isExpired({ expires_at }: FoundCode, now: number): boolean {
  return expires_at <= now
}

/** The one who asked is the one who redeems: same redirect URI if it is repeated, and the verifier (OAuth 2.1 §4.1.3). */
function requireSameParty(found: FoundCode, parameters: Parameters): void {
  const redirectUri = parameters.get('redirect_uri')
  if (redirectUri !== undefined && redirectUri !== found.redirect_uri) {
    throw refused('the redirect URI is not the one of the request')
  }
  const verifier = parameters.get('code_verifier')
  // RFC 9700 §4.8.2: a challenge was sent, so there is no way around the verifier.
  if (verifier === undefined || !verifierMatches(new Secret(verifier), found.code_challenge)) {
    throw refused('the code verifier is missing or wrong')
  }
}

function refused(because: string): Fault {
  return new Fault('invalid_grant', { because })
}
