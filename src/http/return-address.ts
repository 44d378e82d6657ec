// The way back from a sign-in elsewhere to the page of an app that began it. Which pages may be gone back to is decided
// where the sign-in begins.
import type { FinishedFlow } from '../connectors/connections.ts'

/** Where the person goes on, told how it ended in our words; no secret, and nothing that the provider said (S1-53). */
export function returnAddress(returnTo: string, finished: FinishedFlow): string {
  const { flowId, connectionId } = finished
  const facts = { oauth: 'success', flowId, connectionId, error: '', error_description: '' }
  const told: Readonly<Record<string, string>> =
    finished.kind === 'completed'
      ? facts
      : { ...facts, oauth: 'error', error: finished.error, error_description: finished.words }
  const url = new URL(returnTo)
  for (const [name, value] of Object.entries(told)) {
    if (value === '') url.searchParams.delete(name)
    else url.searchParams.set(name, value)
  }
  return url.href
}
