// A provider that refuses a token or a client once may be wrong: what was refused is remembered by a name, and only the same
// refusal at another time is final. The names stand in the vault, so that every process knows them.
import type { Keyring } from '../base/keyring.ts'
import type { Held } from './held.ts'
import type { Registration } from './register.ts'

/** How long a provider that refused once is left alone before it is asked for the second time. */
export const secondQuestionMs = 30_000

/** Names a refused refresh token; which one it was is told by the generation that the doubt hangs on. */
export const grantDoubt = 'grant'

/** Names a refused client with what proves it, because another secret or key makes it another client. */
export function clientDoubt(
  { keyring }: { readonly keyring: Pick<Keyring, 'digest'> },
  { clientId, clientSecret, clientKey }: Registration,
): string {
  const proofs = [clientSecret, clientKey].map((proof) => proof?.reveal() ?? null)
  const client = JSON.stringify([clientId, ...proofs])
  return `${clientPrefix}${keyring.digest('a client that was refused', client)}`
}

const clientPrefix = 'client:'

/** Is it the client that is in doubt, and not the tokens? */
export function isClientInDoubt({ doubt }: Held): boolean {
  return doubt?.startsWith(clientPrefix) === true
}
