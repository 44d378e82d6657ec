// What a person may say about a webhook: an address that we may reach, and which events it wants.
import { Fault } from '../base/fault.ts'
import type { Outbound } from '../base/outbound.ts'

/** A webhook as it is described; everything but the address has a default. */
export interface WebhookInput {
  readonly url: string
  readonly description?: string
  /** Event types, `area.*` or `*`, which is the default. */
  readonly eventTypes?: readonly string[]
}

/** What of a webhook may change. */
export interface WebhookChange extends Partial<WebhookInput> {
  readonly disabled?: boolean
}

const urlMaxCharacters = 2_000
const descriptionMaxCharacters = 200
const eventTypesMax = 100

/** The columns of a description, checked. */
export function webhookColumns(outbound: Pick<Outbound, 'vet'>, input: Partial<WebhookInput>) {
  const { url, description, eventTypes } = input
  return {
    ...(url === undefined ? {} : { url: checkUrl(outbound, url) }),
    ...(description === undefined ? {} : { description: checkDescription(description) }),
    ...(eventTypes === undefined ? {} : { event_types: checkEventTypes(eventTypes) }),
  }
}

/** Throws Fault('insecure_endpoint' | 'discovery_blocked') for an address that may not be reached. */
export function checkUrl(outbound: Pick<Outbound, 'vet'>, text: string): string {
  const url = outbound.vet(text)
  if (text.length <= urlMaxCharacters && url.hash === '') return url.href
  throw refused(
    'url',
    `Use an address without a fragment, of at most ${urlMaxCharacters} characters.`,
  )
}

export function checkEventTypes(types: readonly string[]): string {
  const distinct = [...new Set(types)]
  const isGood =
    distinct.length > 0 && distinct.length <= eventTypesMax && distinct.every(isPattern)
  if (isGood) return JSON.stringify(distinct)
  throw refused(
    'eventTypes',
    'Use event types such as token.issued, whole areas such as token.*, or *.',
  )
}

function isPattern(text: string): boolean {
  return /^(?:\*|[a-z_]{1,40}\.(?:\*|[a-z_]{1,60}))$/.test(text)
}

export function checkDescription(text: string): string {
  if (text.length <= descriptionMaxCharacters && !/\p{Cc}/u.test(text)) return text
  throw refused('description', `Use one line of at most ${descriptionMaxCharacters} characters.`)
}

function refused(field: string, words: string): Fault {
  return new Fault('invalid_input', {
    because: `${field} cannot be used`,
    detail: { [field]: words },
  })
}
