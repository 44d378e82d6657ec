// What is thrown on the way and is no Fault, as one: nothing of it reaches the caller.
import { Fault, isFault } from '../base/fault.ts'
import { isStoreUnavailable } from '../store/unavailable.ts'

/** The Fault that was thrown, or the one that stands for what was. */
export function toFault(thrown: unknown): Fault {
  if (isFault(thrown)) return thrown
  if (isStoreUnavailable(thrown)) {
    const because = 'the database cannot be asked now'
    return new Fault('temporarily_unavailable', { because, cause: thrown, retryAfterS: 5 })
  }
  return new Fault('internal', { because: 'something unexpected was thrown', cause: thrown })
}
