// One operation as it was sent: read, found valid and not too much, or refused before anything of it runs.
import { getOperationAST, GraphQLError, parse, validate } from 'graphql'
import type { DocumentNode, OperationDefinitionNode } from 'graphql'
import { z } from 'zod'
import { Fault, isFault } from '../../base/fault.ts'
import { costOf, tokensMax } from './cost.ts'
import { schema } from './schema.ts'

/** The body of a request: one operation; a list of them is refused. */
export const operationInput = z.strictObject({
  query: z.string(),
  operationName: z.string().nullish(),
  variables: z.record(z.string(), z.unknown()).nullish(),
  extensions: z.record(z.string(), z.unknown()).nullish(),
})

export type OperationInput = z.infer<typeof operationInput>

/** A document that may be run. */
export interface Operation {
  readonly document: DocumentNode
  readonly operation: OperationDefinitionNode
  /** How many fields of the root it asks for. */
  readonly rootFields: number
}

export type Read = Operation | { readonly errors: readonly (GraphQLError | Fault)[] }

const errorsMax = 10

export function readOperation({ query, operationName }: OperationInput): Read {
  try {
    const document = parse(query, { maxTokens: tokensMax })
    const errors = validate(schema, document, undefined, { maxErrors: errorsMax })
    if (errors.length > 0) return { errors }
    const operation = getOperationAST(document, operationName) ?? unnamed()
    return { document, operation, rootFields: costOf(document, operation).rootFields }
  } catch (thrown) {
    if (thrown instanceof GraphQLError || isFault(thrown)) return { errors: [thrown] }
    throw thrown
  }
}

function unnamed(): never {
  throw new Fault('invalid_input', {
    because: 'the operation to run is not in the document',
    detail: { operationName: 'Name one of the operations of the query.' },
  })
}
