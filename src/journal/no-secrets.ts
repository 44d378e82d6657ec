// The last line before a journal entry is written: nothing that looks like one of our secrets, or a JWT, gets in.

// The prefixes of every secret that we issue, followed by what could be its value.
const ourSecret =
  /(?<![A-Za-z0-9_-])(?:mcp_at_|mcp_rt_|auth_|mcp_dc_|mcp_cs_|lk_)[A-Za-z0-9_-]{16,}/
// RFC 7519 §3: header and claims are base64url of JSON objects, so both begin with `eyJ`.
const jwt = /eyJ[A-Za-z0-9_-]{5,}\.eyJ[A-Za-z0-9_-]{5,}/

/** Throws on a text that looks like a secret; the error names the field and never the value. */
export function refuseSecrets(fields: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(fields)) {
    const texts = [name, ...(Array.isArray(value) ? value : [value])]
    if (texts.some(looksSecret))
      throw new Error(`the journal entry holds a secret in ${nameOf(name)}`)
  }
}

function looksSecret(value: unknown): boolean {
  return typeof value === 'string' && (ourSecret.test(value) || jwt.test(value))
}

// A name can be the secret as well.
function nameOf(name: string): string {
  return looksSecret(name) ? 'the name of a field' : name
}
