// One attempt: signs a delivery, sends it through the guarded way out, and says what the receiver answered. Redirects are
// not followed, and of the answer only its status counts.
import { request } from 'undici'
import type { Dispatcher } from 'undici'
import { faultCatalogue, isFault } from '../base/fault.ts'
import type { FaultCode } from '../base/fault.ts'
import type { Secret } from '../base/secret.ts'
import type { WebhookDeliveryRow, WebhookRow } from '../store/schema.ts'
import { holdsSecret } from './no-secrets.ts'
import { liveSecrets } from './webhook-rows.ts'
import type { WebhookNeeds } from './webhook-rows.ts'
import { holdsAnyOf, signatureHeaders } from './webhook-signature.ts'

/** What became of an attempt. */
export type AttemptOutcome =
  | { readonly kind: 'answered'; readonly status: number; readonly excerpt: string }
  | { readonly kind: 'unanswered'; readonly words: string }
  /** This process stops; nothing is known, and nothing counts. */
  | { readonly kind: 'interrupted' }

interface Attempt {
  readonly webhook: WebhookRow
  readonly delivery: WebhookDeliveryRow
  /** Ends every attempt of this process. */
  readonly closing: AbortSignal
}

const replyReadBytes = 8_192
const excerptCharacters = 500

/** Sends a delivery once. Never throws. */
export async function sendOnce(needs: WebhookNeeds, attempt: Attempt): Promise<AttemptOutcome> {
  const { attemptTimeMs } = needs.settings
  const ending = AbortSignal.any([AbortSignal.timeout(attemptTimeMs), attempt.closing])
  try {
    const secrets = liveSecrets(needs.keyring, attempt.webhook, needs.clock.now())
    // undici looks at the signal only once it is connected; the limit holds before that too.
    const answer = await Promise.race([post(needs, { ...attempt, secrets }, ending), ended(ending)])
    const text = await readBeginning(answer.body)
    const excerpt = holdsSecret(text) || holdsAnyOf(secrets, text) ? '' : excerptOf(text)
    return { kind: 'answered', status: answer.statusCode, excerpt }
  } catch (thrown) {
    if (attempt.closing.aborted) return { kind: 'interrupted' }
    return { kind: 'unanswered', words: wordsOf(thrown, attemptTimeMs) }
  }
}

async function post(
  { outbound, clock }: WebhookNeeds,
  { webhook, delivery, secrets }: Attempt & { readonly secrets: readonly Secret[] },
  signal: AbortSignal,
): Promise<Dispatcher.ResponseData> {
  const url = outbound.vet(webhook.url)
  const timestampS = Math.floor(clock.now() / 1000)
  const parts = { id: delivery.id, timestampS, body: delivery.body }
  return request(url, {
    dispatcher: outbound.dispatcher,
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'user-agent': 'Latchkey',
      'accept-encoding': 'identity',
      ...signatureHeaders(parts, secrets),
    },
    body: delivery.body,
    signal,
  })
}

function ended(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

async function readBeginning(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  try {
    for await (const chunk of body) {
      chunks.push(chunk)
      bytes += chunk.byteLength
      if (bytes >= replyReadBytes) break
    }
  } catch {
    // The status is known and decides; an answer that breaks off is cut where it broke.
  }
  const text = Buffer.concat(chunks).subarray(0, replyReadBytes).toString('utf8')
  return text.replaceAll(/[\p{Cc}\p{Cf}]+/gu, ' ').trim()
}

/** The beginning of the answer, for whoever looks for what went wrong. */
function excerptOf(text: string): string {
  return text.slice(0, excerptCharacters).toWellFormed()
}

const words: Partial<Record<FaultCode, string>> = {
  decrypt_failed: 'The signing secret cannot be read. Rotate it.',
  discovery_blocked: faultCatalogue.discovery_blocked.words,
  name_unresolved: faultCatalogue.name_unresolved.words,
  insecure_endpoint: faultCatalogue.insecure_endpoint.words,
}

/** Names what happened by code only: the platform's own texts can hold header values. */
function wordsOf(thrown: unknown, attemptTimeMs: number): string {
  const error = thrown instanceof Error ? thrown : undefined
  const fault = [error, error?.cause].find(isFault)
  const code: unknown = error === undefined ? undefined : Reflect.get(error, 'code')
  if (error?.name === 'TimeoutError' || (typeof code === 'string' && /TIMEOUT/.test(code))) {
    return `There was no answer within ${attemptTimeMs / 1000} seconds.`
  }
  if (fault !== undefined) return words[fault.code] ?? 'The receiver cannot be reached.'
  const isPlain = typeof code === 'string' && /^[A-Z_0-9]{2,60}$/.test(code)
  return `The receiver cannot be reached${isPlain ? ` (${code})` : ''}.`
}
