// How much a document asks for, counted before anything of it runs: fields with every fragment written out, and how deep.
import { Kind } from 'graphql'
import type { DocumentNode, OperationDefinitionNode, SelectionSetNode } from 'graphql'
import { Fault } from '../../base/fault.ts'

/** How long a document may be, in words and signs of the language. */
export const tokensMax = 1_000
/** Fields of Query or Mutation in one request, by whatever alias. */
export const rootFieldsMax = 10
/** The usual question for the schema has half as many. */
export const fieldsMax = 500
export const depthMax = 16

export interface Cost {
  readonly rootFields: number
  readonly fields: number
  readonly depth: number
}

/** Counts a valid document: its fragments have no circles. Throws Fault('invalid_input') for one that asks too much. */
export function costOf(document: DocumentNode, operation: OperationDefinitionNode): Cost {
  const count = createCount(document)
  const cost = count(operation.selectionSet)
  refuseOver('fields at the root', cost.rootFields, rootFieldsMax)
  refuseOver('fields', cost.fields, fieldsMax)
  refuseOver('levels', cost.depth, depthMax)
  return cost
}

function refuseOver(unit: string, count: number, most: number): void {
  if (count <= most) return
  throw new Fault('invalid_input', {
    because: `the document has more than ${most} ${unit}`,
    detail: { query: `Ask for at most ${most} ${unit} at once.` },
  })
}

const nothing: Cost = { rootFields: 0, fields: 0, depth: 0 }

/** Each fragment is counted once, however often it is spread. */
function createCount(document: DocumentNode): (set: SelectionSetNode) => Cost {
  const known = new Map<string, Cost>()
  const fragments = new Map(
    document.definitions.flatMap((one) =>
      one.kind === Kind.FRAGMENT_DEFINITION ? [[one.name.value, one.selectionSet] as const] : [],
    ),
  )
  const ofFragment = (name: string): Cost => {
    const set = fragments.get(name)
    const cost = known.get(name) ?? (set === undefined ? nothing : count(set))
    known.set(name, cost)
    return cost
  }
  const ofField = (set: SelectionSetNode | undefined): Cost => {
    const { fields, depth } = set === undefined ? nothing : count(set)
    return { rootFields: 1, fields: fields + 1, depth: depth + 1 }
  }
  const count = (set: SelectionSetNode): Cost =>
    set.selections
      .map((one) => {
        if (one.kind === Kind.FIELD) return ofField(one.selectionSet)
        if (one.kind === Kind.INLINE_FRAGMENT) return count(one.selectionSet)
        return ofFragment(one.name.value)
      })
      .reduce(together, nothing)
  return count
}

function together(one: Cost, other: Cost): Cost {
  return {
    rootFields: one.rootFields + other.rootFields,
    fields: one.fields + other.fields,
    depth: Math.max(one.depth, other.depth),
  }
}
