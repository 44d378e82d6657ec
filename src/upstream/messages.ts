// What a person reads when a sign-in elsewhere fails. Most words are the catalogue's; the codes below mean something else
// when another authorization server says them than when ours does.
import { faultCatalogue } from '../base/fault.ts'
import type { FaultCode } from '../base/fault.ts'

export interface Message {
  readonly words: string
  readonly retryable: boolean
  /** Only a new sign-in helps, now or later. */
  readonly reauthorize: boolean
}

const saidByOthers: Partial<Record<FaultCode, Omit<Message, 'reauthorize'>>> = {
  invalid_request: {
    words: 'The authorization request was invalid. Please try connecting again.',
    retryable: true,
  },
  unauthorized_client: {
    words:
      'This application is not authorized to connect to this service. Contact your administrator.',
    retryable: false,
  },
  unsupported_response_type: {
    words: faultCatalogue.client_configuration.words,
    retryable: false,
  },
  temporarily_unavailable: { words: faultCatalogue.server_error.words, retryable: true },
}

/** The words for an error of a sign-in elsewhere. */
export function messageOf(error: FaultCode): Message {
  const { words, retryable, reauthorize } = faultCatalogue[error]
  return { words, retryable, reauthorize, ...saidByOthers[error] }
}
