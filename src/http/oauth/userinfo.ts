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
      // What a token is worth is known only when the room has seen it.
      limits: [],
      surface: 'oauth',
      words: 'Says who the person of an access token is (OIDC Core §5.3).',
      run: async ({ tenant, request, meter }) => {
        const authorization = request.headers.get('authorization') ?? undefined
        const dpop = request.headers.get('dpop') ?? undefined
        const count = (grantId: string) => meter.take('principal', grantId)
        const info = await issuer.userInfo(tenant, { method, authorization, dpop, count })
        if (isOfStranger(info)) await meter.take('strangers')
        return answer(info)
      },
    }),
  )
}

/** A token with too narrow a scope is good all the same. */
function isOfStranger(info: UserInfoAnswer): boolean {
  return info.kind === 'refused' && info.error !== 'insufficient_scope'
}

function answer(info: UserInfoAnswer): Response {
  const nonce = info.dpopNonce === undefined ? {} : { 'dpop-nonce': info.dpopNonce }
  if (info.kind === 'person') return json(info.claims, 200, nonce)
  const { status, error, challenge } = info
  // RFC 6750 §3.1: who sent no token is told nothing but how to come.
  const body = error === undefined ? {} : { error, error_description: faultCatalogue[error].words }
  return json(body, status, { 'www-authenticate': challenge, ...nonce })
}
