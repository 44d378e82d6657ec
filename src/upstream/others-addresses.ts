// Addresses that a server or its authorization server names, and nobody here gave: whether a name leads into a network of
// ours or nowhere is not for those who made them up.
import { isFault } from '../base/fault.ts'
import type { Fault } from '../base/fault.ts'
import { blocked } from '../base/outbound-connect.ts'

/** Does something at such an address; a name without an address is told like one that may not be reached, to the letter. */
export async function atOthersAddress<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw isFault(error) && isTelling(error)
      ? blocked('an address that the server named may not be reached', error)
      : error
  }
}

/** What the outbound client says of an address; what it says of an answer has no detail. */
function isTelling({ code, detail }: Fault): boolean {
  return code === 'name_unresolved' || (code === 'discovery_blocked' && detail !== undefined)
}
