// What REST shows of the providers at which a tenant's people sign in.
import { z } from 'zod'
import { texts, time } from './common.ts'

const addresses = {
  issuer: z.string(),
  authorizationEndpoint: z.string(),
  tokenEndpoint: z.string(),
  userinfoEndpoint: z.string().exactOptional(),
  emailsEndpoint: z.string().exactOptional(),
  jwksUri: z.string().exactOptional(),
}

export const provider = z
  .strictObject({
    id: z.string(),
    slug: z.string(),
    kind: z.enum(['oidc', 'oauth2']),
    name: z.string(),
    ...addresses,
    clientId: z.string(),
    hasClientSecret: z.boolean().describe('The secret itself never comes back.'),
    scopes: z.string(),
    claims: z.strictObject({
      subject: z.string(),
      email: z.string(),
      emailVerified: z.string(),
      name: z.string(),
    }),
    emailDomains: texts,
    emailsAreVerified: z.boolean(),
    linksVerifiedEmail: z.boolean(),
    keepsTokens: z.boolean(),
    redirectUri: z.string().describe('To be registered at the provider.'),
    backchannelLogoutUri: z.string().describe('Where it may say that a session ended.'),
    createdAt: time,
    updatedAt: time,
  })
  .meta({ id: 'Provider' })

export const providerFinding = z
  .strictObject({ ...addresses, scopes: texts })
  .meta({ id: 'ProviderFinding' })

export const providerPresets = z.strictObject({
  items: z.array(
    z
      .strictObject({
        id: z.string(),
        name: z.string(),
        kind: z.enum(['oidc', 'oauth2']),
        issuer: z.string(),
        tenant: z.string().exactOptional().describe('What `{tenant}` in the issuer is.'),
        scopes: z.string(),
        endpoints: z
          .strictObject({
            authorizationEndpoint: z.string(),
            tokenEndpoint: z.string(),
            userinfoEndpoint: z.string(),
            emailsEndpoint: z.string().exactOptional(),
          })
          .exactOptional(),
        claims: z.strictObject({ subject: z.string().exactOptional() }).exactOptional(),
      })
      .meta({ id: 'ProviderPreset' }),
  ),
})
