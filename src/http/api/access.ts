// REST for who may act for a person: the apps they let in, and their own API keys.
import { z } from 'zod'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { foreignCursor } from '../../base/page.ts'
import type { Issuer } from '../../issuer/issuer.ts'
import { attemptPageSizes } from '../../journal/attempt-list.ts'
import type { AttemptList } from '../../journal/attempt-list.ts'
import { diagnose } from '../../journal/diagnosis.ts'
import type { Journal } from '../../journal/entries.ts'
import type { ApiKeys } from '../../people/api-keys.ts'
import { apiKeyNameMaxCharacters, apiKeyScopes } from '../../people/api-keys.ts'
import type { Tenant } from '../../people/tenants.ts'
import { empty, json } from '../answers.ts'
import { found, made, nothing, page } from '../output.ts'
import { pageRequestOf } from '../page-request.ts'
import { idOf } from '../params.ts'
import { pageQuery } from '../query.ts'
import { route } from '../route.ts'
import type { QueryParameter, Route } from '../route.ts'
import * as shapes from './shapes/access.ts'

const newKey = z.strictObject({
  name: z.string().min(1).max(apiKeyNameMaxCharacters),
  scopes: z.array(z.enum(apiKeyScopes)).min(1).max(apiKeyScopes.length),
  expiresAt: z.int().positive().optional(),
})

interface Needs {
  readonly clock: Clock
  readonly issuer: Issuer
  readonly apiKeys: ApiKeys
  readonly journal: Journal
  readonly attemptList: AttemptList
}

/** The rows of `/api/v1/grants`, `/api/v1/api-keys` and `/api/v1/journal`. */
export function accessRoutes(needs: Needs): readonly Route[] {
  const { issuer, apiKeys } = needs
  const api = { surface: 'api', guard: 'api' } as const
  return [
    route({
      ...api,
      path: '/api/v1/grants',
      method: 'GET',
      query: pageQuery(),
      output: page(shapes.grant),
      words: 'Apps with access: what the caller let in.',
      run: async ({ principal, query }) =>
        json(await issuer.grants.list(principal, pageRequestOf(query))),
    }),
    route({
      ...api,
      path: '/api/v1/grants/{id}',
      method: 'DELETE',
      output: nothing,
      words: 'Takes access back; every token of the grant ends at once.',
      run: async ({ principal, params }) => {
        await issuer.grants.revoke(principal, idOf(params))
        return empty(204)
      },
    }),
    ...apiKeyRoutes(apiKeys),
    ...watchRoutes(needs),
  ]
}

function watchRoutes(needs: Needs): readonly Route[] {
  const { journal, attemptList } = needs
  const admin = { surface: 'api', guard: 'admin' } as const
  return [
    route({
      ...admin,
      path: '/api/v1/journal',
      method: 'GET',
      query: journalParameters,
      output: found(shapes.journalPage),
      faults: ['not_found'],
      words: 'What happened in this tenant, in order.',
      run: async ({ tenant, query }) => {
        const asked = journalQuery(query)
        const { attempt } = asked
        if (attempt !== undefined)
          return json(await readAttempt(needs, tenant, { ...asked, attempt }))
        const items = await journal.list({ tenantId: tenant.id, ...asked })
        return json({ items, nextCursor: items.at(-1)?.seq })
      },
    }),
    route({
      ...admin,
      path: '/api/v1/attempts',
      method: 'GET',
      query: pageQuery(attemptPageSizes),
      output: page(shapes.attempt),
      words: 'Recent attempts of clients to connect: who, where to, and what became of them.',
      run: async ({ tenant, query }) =>
        json(await attemptList.list(tenant.id, pageRequestOf(query))),
    }),
  ]
}

/** The entries of one attempt and of what is linked to it, with what they mean; the meaning is of all, not of a page. */
async function readAttempt(
  { journal, attemptList, clock }: Needs,
  { id: tenantId }: Tenant,
  asked: ReturnType<typeof journalQuery> & { readonly attempt: string },
) {
  const attempt = await attemptList.family(tenantId, asked.attempt)
  const all = await journal.list({ tenantId, attempt })
  if (all.length === 0) throw unknownAttempt()
  const isFirstPage = asked.after === 0 && asked.subjectId === undefined
  const items = isFirstPage ? all : await journal.list({ tenantId, ...asked, attempt })
  return { items, nextCursor: items.at(-1)?.seq, diagnosis: diagnose(all, clock.now()) }
}

function unknownAttempt(): Fault {
  return new Fault('not_found', {
    because: 'nothing is known of such an attempt',
    detail: { attempt: 'Nothing is known of this attempt. /api/v1/attempts has the recent ones.' },
  })
}

function apiKeyRoutes(apiKeys: ApiKeys): readonly Route[] {
  const session = { surface: 'api', guard: 'session' } as const
  return [
    route({
      ...session,
      path: '/api/v1/api-keys',
      method: 'POST',
      input: newKey,
      output: made(shapes.madeApiKey),
      words: 'Makes an API key; its value is shown once.',
      run: async ({ principal, input }) => {
        const { id, key } = await apiKeys.create(principal, input)
        return json({ id, key: key.reveal(), ...input }, 201)
      },
    }),
    route({
      ...session,
      path: '/api/v1/api-keys',
      method: 'GET',
      query: pageQuery(),
      output: page(shapes.apiKey),
      words: 'The caller’s API keys, without their values.',
      run: async ({ principal, query }) =>
        json(await apiKeys.list(principal, pageRequestOf(query))),
    }),
    route({
      ...session,
      path: '/api/v1/api-keys/{id}',
      method: 'DELETE',
      output: nothing,
      words: 'Ends an API key at once.',
      run: async ({ principal, params }) => {
        await apiKeys.revoke(principal, idOf(params))
        return empty(204)
      },
    }),
  ]
}

const journalParameters: readonly QueryParameter[] = [
  {
    name: 'cursor',
    words: 'The `nextCursor` of the page before, or the `seq` of any entry.',
    schema: { type: 'integer', minimum: 0 },
  },
  { name: 'attempt', words: 'Tells one attempt, with what it means.', schema: { type: 'string' } },
  { name: 'subjectId', words: 'What happened to one thing.', schema: { type: 'string' } },
]

function journalQuery(query: URLSearchParams) {
  const after = Number(query.get('cursor') ?? 0)
  if (!Number.isSafeInteger(after) || after < 0) throw foreignCursor()
  const attempt = idIn(query, 'attempt')
  const subjectId = idIn(query, 'subjectId')
  return {
    after,
    ...(attempt === undefined ? {} : { attempt }),
    ...(subjectId === undefined ? {} : { subjectId }),
  }
}

/** An id to look for: one of ours, or a client's, which may be a URL. */
function idIn(query: URLSearchParams, name: string): string | undefined {
  const id = query.get(name)
  if (id === null || /^[\x21-\x7e]{1,2048}$/.test(id)) return id ?? undefined
  throw new Fault('invalid_input', {
    because: `${name} cannot be an id`,
    detail: { [name]: 'Use an id that an entry gave you.' },
  })
}
