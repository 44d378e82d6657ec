// What this machine's platform says of us (SEP-1933): a token for each authorization server, kept fresh by the platform as
// a file in a folder of the operator's. It is read anew each time and goes only where it is meant for.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import { Secret } from '../base/secret.ts'
import { unverifiedClaims } from './unverified-claims.ts'

export interface WorkloadTokens {
  /** The token of this name. Throws Fault('client_configuration') for one that is missing, over, or for others. */
  readonly read: (name: string, audiences: readonly string[]) => Promise<Secret>
}

interface Needs {
  readonly clock: Clock
  /** Where they are; without it there are none. */
  readonly workloadTokenFolder?: string | undefined
}

/** What a name may be: never a path. */
export const workloadTokenName = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$/

/** Makes the reader. */
export function createWorkloadTokens({
  clock,
  workloadTokenFolder: folder,
}: Needs): WorkloadTokens {
  return {
    read: async (name, audiences) => {
      if (folder === undefined) throw unusable('LATCHKEY_WORKLOAD_TOKENS is not set')
      if (!workloadTokenName.test(name)) throw unusable('the name of the token is none')
      const token = new Secret((await readText(join(folder, name))).trim())
      requireFor(token, { audiences, now: clock.now() })
      return token
    },
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw unusable('the workload token cannot be read', cause)
  }
}

/** RFC 7523 §3: who receives it could use it wherever it is meant for, so nobody else ever receives it. */
function requireFor(
  token: Secret,
  { audiences, now }: { readonly audiences: readonly string[]; readonly now: number },
): void {
  const claims = unverifiedClaims(token)
  if (claims === undefined) throw unusable('the workload token is not a JWT')
  const { aud, exp } = claims
  const meantFor = [aud ?? []].flat()
  const isFor = meantFor.length > 0 && meantFor.every((one) => audiences.includes(one))
  if (!isFor) throw unusable('the workload token is not for this authorization server alone')
  if (exp === undefined || exp * 1000 <= now) throw unusable('the workload token is over')
}

function unusable(because: string, cause?: unknown): Fault {
  return new Fault('client_configuration', cause === undefined ? { because } : { because, cause })
}
