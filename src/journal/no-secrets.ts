// The last line before a journal entry is written: nothing that looks like one of our secrets, or a JWT, gets in.

// The prefixes of every secret that we issue, followed by what could be its value. `auth_` begins ordinary names too, so
// there only a whole code counts.
const ourSecret =
  /(?<![A-Za-z0-9_-])(?:(?:mcp_at_|mcp_rt_|mcp_dc_|mcp_cs_|mcp_reg_|lk_)[A-Za-z0-9_-]{16,}|auth_[A-Za-z0-9_-]{43}|whsec_[A-Za-z0-9+/]{16,})/
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

/** Does this text hold what looks like a secret? */
export function holdsSecret(text: string): boolean {
  return ourSecret.test(text) || jwt.test(text)
}

// As above, and a JWT to its end.
const everySecret = new RegExp(`${ourSecret.source}|${jwt.source}(?:\\.[A-Za-z0-9_-]*)?`, 'g')

/** The text with every such secret taken out. */
export function withoutSecrets(text: string): string {
  return text.replaceAll(everySecret, '(secret)')
}

function looksSecret(value: unknown): boolean {
  return typeof value === 'string' && holdsSecret(value)
}

// A name can be the secret as well.
function nameOf(name: string): string {
  return looksSecret(name) ? 'the name of a field' : name
}
