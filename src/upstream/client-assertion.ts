// Proves us at an authorization server with a key of ours (`private_key_jwt`, RFC 7523 §2.2 and §3): a JWT for that server
// alone, good once and for a minute.
import type { Clock } from '../base/clock.ts'
import { randomId } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import { signJwt } from '../oauth/jws.ts'
import { openPrivateKey } from '../oauth/private-key.ts'

const lifetimeS = 60

/** The type of assertion (RFC 7523 §2.2). */
export const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** A new assertion; none may be sent twice. */
export function createClientAssertion(
  { clock, random }: { readonly clock: Clock; readonly random: Random },
  client: { readonly clientId: string; readonly issuer: string; readonly clientKey: Secret },
): Secret {
  const { key, publicJwk } = openPrivateKey(client.clientKey)
  const nowS = Math.floor(clock.now() / 1000)
  return signJwt(key, {
    header: { alg: publicJwk.alg, kid: publicJwk.kid, typ: 'client-authentication+jwt' },
    claims: {
      iss: client.clientId,
      sub: client.clientId,
      // RFC 7523bis and P18: the issuer is the one audience, so that no other server can use it.
      aud: client.issuer,
      jti: randomId(random, ''),
      iat: nowS,
      exp: nowS + lifetimeS,
    },
  })
}
