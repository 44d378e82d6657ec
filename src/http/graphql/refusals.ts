// How a refusal looks over GraphQL: the words of the catalogue, and its code under `extensions`. Nothing else of what was
// thrown leaves.
import { GraphQLError } from 'graphql'
import type { GraphQLFormattedError } from 'graphql'
import { describeFault, faultCatalogue, isFault } from '../../base/fault.ts'
import type { Fault } from '../../base/fault.ts'
import type { Log } from '../../base/log.ts'
import { asFault } from '../errors.ts'

/** Shows an error. What GraphQL itself says of a document stays as it is: the caller wrote that. */
export function showError(log: Log, error: GraphQLError | Fault): GraphQLFormattedError {
  if (isFault(error)) return showFault(log, error)
  const { originalError, locations, path, message } = error
  const place = {
    ...(locations === undefined ? {} : { locations }),
    ...(path === undefined ? {} : { path }),
  }
  const isOfDocument = originalError === undefined || originalError instanceof GraphQLError
  if (isOfDocument) return { message, ...place, extensions: { code: 'invalid_input' } }
  return { ...showFault(log, asFault(originalError)), ...place }
}

function showFault(log: Log, fault: Fault): GraphQLFormattedError {
  const { code, because, detail, cause } = fault
  const { status, retryable, reauthorize } = faultCatalogue[code]
  const facts = { code, because, status, path: '/graphql', cause }
  if (status >= 500) log.error(facts, 'a request failed')
  else log.info(facts, 'a request was refused')
  return {
    message: describeFault(fault),
    extensions: { code, retryable, reauthorize, ...(detail === undefined ? {} : { detail }) },
  }
}
