// The door behind which a client learns who its person is. The thinking is in issuer/userinfo.
import { faultCatalogue } from '../../base/fault.ts'
import type { Issuer } from '../../issuer/issuer.ts'
import type { UserInfoAnswer } from '../../issuer/userinfo.ts'
import { json } from '../answers.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

/** The rows of the userinfo endpoint (OIDC Core §5.3.1: GET and POST). */
export function userInfoRoutes({ issuer }: { readonly issuer: Issuer }): readonly Route[] {
  return (['GET', 'POST'] as const).map((method) =>
    route({
      method,
      path: '/oauth/userinfo',
      guard: 'bearer',
      surface: 'oauth',
      words: 'Says who the person of an access token is (OIDC Core §5.3).',
      run: async ({ tenant, request }) => {
        const authorization = request.headers.get('authorization') ?? undefined
        const dpop = request.headers.get('dpop') ?? undefined
        return answer(await issuer.userInfo(tenant, { method, authorization, dpop }))
      },
    }),
  )
}

function answer(info: UserInfoAnswer): Response {
  const nonce = info.dpopNonce === undefined ? {} : { 'dpop-nonce': info.dpopNonce }
  if (info.kind === 'person') return json(info.claims, 200, nonce)
  const { status, error, challenge } = info
  // RFC 6750 §3.1: who sent no token is told nothing but how to come.
  const body = error === undefined ? {} : { error, error_description: faultCatalogue[error].words }
  return json(body, status, { 'www-authenticate': challenge, ...nonce })
}
