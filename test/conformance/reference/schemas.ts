// Tools that matter for how they are described: by the wider words of JSON Schema, and by arguments that stand in headers too.
import type { McpServer } from '@modelcontextprotocol/server'
import { fromJsonSchema } from '@modelcontextprotocol/server'

/** A tool for each schema; they say nothing. */
export function addDescribedTools(server: McpServer): void {
  for (const [name, schema] of Object.entries({ json_schema_2020_12_tool, test_custom_headers })) {
    const inputSchema = fromJsonSchema(schema)
    server.registerTool(name, { description: `Is described: ${name}`, inputSchema }, async () => ({
      content: [],
    }))
  }
}

// SEP-1613 and SEP-2106: all of it has to reach the client as it is.
const json_schema_2020_12_tool = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: {
    address: {
      $anchor: 'addressDef',
      type: 'object',
      properties: { street: { type: 'string' }, city: { type: 'string' } },
    },
  },
  properties: {
    name: { type: 'string' },
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: { type: 'string' },
    email: { type: 'string' },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  // oxlint-disable-next-line unicorn/no-thenable -- a word of JSON Schema
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
}

// SEP-2243: what is said in the body is said in `Mcp-Param-Region` as well.
const test_custom_headers = {
  type: 'object',
  properties: { region: { type: 'string', 'x-mcp-header': 'Region' } },
  required: ['region'],
}
