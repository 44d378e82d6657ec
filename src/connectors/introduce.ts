// Who calls, for a server that is reached with our signed word (`assertion`). Connectors have no signing keys: the platform
// gives them the function that signs.
import type { Secret } from '../base/secret.ts'
import type { Tenant } from '../people/tenants.ts'
import type { User } from '../people/users.ts'
import { invalid } from './server-input.ts'
import type { ServerAuth } from './server-input.ts'

/** Who calls, and where to. */
export interface Introduction {
  readonly tenant: Tenant
  readonly user: User
  /** Through which client; absent where the person themselves looks. */
  readonly clientId?: string | undefined
  /** The server's URL: the only audience. */
  readonly audience: string
}

/** Signs an introduction; good for a minute at most, and at that server only. */
export type Introduce = (introduction: Introduction) => Promise<Secret>

/** Throws Fault('invalid_input') where nobody can sign: the client half alone has no keys that others could know. */
export function requireIntroduce(introduce: Introduce | undefined, auth: ServerAuth): void {
  if (auth !== 'assertion' || introduce !== undefined) return
  throw invalid('auth', 'Signed assertions need the whole platform, which publishes its keys.')
}
