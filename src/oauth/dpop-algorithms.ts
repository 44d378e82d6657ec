// Which signatures a DPoP proof may have: apart from what reads proofs, for those who only tell.

/**
 * The signatures that a proof may have (RFC 9449 §4.3: asymmetric ones). `EdDSA` is the older name of `Ed25519`
 * (RFC 9864 §4.1.2).
 */
export const dpopAlgorithms = ['ES256', 'PS256', 'RS256', 'Ed25519', 'EdDSA'] as const
