// Shapes as JSON Schema for the description of REST: those with a name (`meta({ id })`) are said once and referred to.
import { z } from 'zod'

type Schema = z.core.JSONSchema.BaseSchema

export interface DescribedShapes {
  /** The schema of each shape, by the name that it was given under. */
  readonly schemas: Readonly<Record<string, Schema>>
  /** The schemas that they refer to. */
  readonly shared: Readonly<Record<string, Schema>>
}

/** Describes shapes: as `input` what we take, and as `output` what we give, to which fields may be added one day. */
export function describeShapes(
  shapes: Readonly<Record<string, z.ZodType>>,
  io: 'input' | 'output',
): DescribedShapes {
  const whole = z.toJSONSchema(z.strictObject(shapes), {
    io,
    override: ({ jsonSchema }) => {
      if (io === 'output') delete jsonSchema.additionalProperties
      dropSafeBounds(jsonSchema)
    },
  })
  const text = JSON.stringify(whole).replaceAll('"#/$defs/', '"#/components/schemas/')
  const { properties = {}, $defs = {} } = JSON.parse(text) as Described // as JSON Schema has it
  return {
    schemas: properties,
    shared: Object.fromEntries(Object.entries($defs).map(([name, schema]) => [name, bare(schema)])),
  }
}

interface Described {
  readonly properties?: Readonly<Record<string, Schema>>
  readonly $defs?: Readonly<Record<string, Schema>>
}

/** A whole number is one that JSON can carry; that its ends are those of a double is nothing that a reader needs. */
function dropSafeBounds(schema: Schema): void {
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum
}

/** Its name is its place among the components. */
function bare({ id: _its, ...schema }: Schema): Schema {
  return schema
}
