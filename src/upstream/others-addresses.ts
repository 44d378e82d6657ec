// Addresses that a server or its authorization server names, and nobody here gave: whether a name leads into a network of
// ours or nowhere is not for those who made them up.
import { isFault } from '../base/fault.ts'
import { blocked } from '../base/outbound-connect.ts'

/** Does something at such an address; a name without an address is told like one that may not be reached. */
export async function atOthersAddress<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const isNowhere = isFault(error) && error.code === 'name_unresolved'
    throw isNowhere ? blocked(error.because, error) : error
  }
}
