// Who calls, in plain header fields, for a server whose administrator asked for them. They are worth no more than the way
// between us and that server; what somebody can check is the signed assertion.
import { Secret } from '../base/secret.ts'
import type { Server } from '../connectors/servers.ts'
import type { TokenPrincipal } from '../people/principal.ts'

/** The fields of one call; none for a server that did not ask. */
export function identityHeaders(
  { identityHeaders: isAsked }: Pick<Server, 'identityHeaders'>,
  { tenant, user, clientId }: TokenPrincipal,
): Readonly<Record<string, Secret>> {
  if (!isAsked || user === undefined) return {}
  const { id, email, emailVerified, name } = user
  const facts: Readonly<Record<string, string | undefined>> = {
    'x-latchkey-user': id,
    'x-latchkey-email': email,
    'x-latchkey-email-verified': email === undefined ? undefined : `${emailVerified}`,
    'x-latchkey-name': name,
    'x-latchkey-client': clientId,
    'x-latchkey-tenant': tenant.slug,
  }
  return Object.fromEntries(
    Object.entries(facts).flatMap(([field, value]) =>
      value === undefined ? [] : [[field, new Secret(fieldText(value))]],
    ),
  )
}

/** RFC 9110 §5.5: visible ASCII passes; everything else, and `%` itself, as the percent-encoded bytes of UTF-8. */
function fieldText(value: string): string {
  return value
    .toWellFormed()
    .trim()
    .replace(/[^\x20-\x24\x26-\x7e]/gu, encodeURIComponent)
}
