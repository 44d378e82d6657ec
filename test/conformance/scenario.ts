// One scenario as the conformance suite hands it to the driver: by environment, with the server's URL as the last argument.
// Owns also what a driver says at its end, because the runner reads it back.

/** What the driver is to play. */
export interface Scenario {
  readonly name: string
  readonly url: string
  /** The revision that is spoken on the wire, such as 2026-07-28. */
  readonly version: string
  readonly context: Context
}

/** What only some scenarios hand over. */
export interface Context {
  readonly client_id?: string
  readonly client_secret?: string
  /** Our key, in PEM. */
  readonly private_key_pem?: string
  /** What the platform of a workload says of it. */
  readonly valid_jwt?: string
  readonly idp_issuer?: string
  readonly idp_token_endpoint?: string
  readonly idp_client_id?: string
  readonly idp_id_token?: string
  readonly toolCalls?: readonly {
    readonly name: string
    readonly arguments: Record<string, unknown>
  }[]
}

type Environment = Readonly<Record<string, string | undefined>>

/** Reads the scenario that the suite asks for. */
export function readScenario(environment: Environment, url: string | undefined): Scenario {
  const name = environment['MCP_CONFORMANCE_SCENARIO']
  const version = environment['MCP_CONFORMANCE_PROTOCOL_VERSION']
  if (name === undefined || version === undefined || url === undefined) {
    throw new Error('only the conformance suite starts this')
  }
  const context = environment['MCP_CONFORMANCE_CONTEXT'] ?? '{}'
  return { name, version, url, context: JSON.parse(context) as Context } // the suite's own shape
}

/** How a driver ended: it did everything, it was refused with this code, or it broke. */
export type Outcome = 'completed' | `refused: ${string}` | 'broken'

/** What a scenario must end with; one that offers something wrong must end in our refusal of exactly that. */
export function expectedOutcome(scenario: string): Outcome {
  return refusals[scenario] ?? 'completed'
}

const refusals: Readonly<Record<string, Outcome>> = {
  'auth/iss-normalized': 'refused: issuer_mismatch',
  'auth/iss-supported-missing': 'refused: issuer_mismatch',
  'auth/iss-unexpected': 'refused: issuer_mismatch',
  'auth/iss-wrong-issuer': 'refused: issuer_mismatch',
  'auth/metadata-issuer-mismatch': 'refused: issuer_mismatch',
  'auth/resource-mismatch': 'refused: resource_mismatch',
  'auth/scope-retry-limit': 'refused: insufficient_scope',
}
