// How Latchkey becomes a client of an authorization server and what it asks for there, in findings. Pure: reads one look
// and who we are.
import type { Discovery } from '../upstream/discover.ts'
import { preferredAuthMethod } from '../upstream/dynamic-registration.ts'
import { registrationWay } from '../upstream/register.ts'
import type { RegistrationWay } from '../upstream/register.ts'
import { chooseScopes } from '../upstream/scopes.ts'
import { note, right, stopping, wrong } from './doctor-finding.ts'
import type { Finding } from './doctor-finding.ts'

/** Who we are, and what whoever asks has decided already. */
export interface Us {
  readonly publicUrl: string
  readonly clientId?: string | undefined
  readonly scopes?: string | undefined
}

/** How we will become a client there. */
export function wayOf({ metadata }: Discovery, { publicUrl, clientId }: Us): RegistrationWay {
  return registrationWay(metadata, { issuer: publicUrl, isGiven: clientId !== undefined })
}

const about = 'client'
const approaches = 'MCP authorization, "Client Registration Approaches"'

/** Which way it is, and what stands in it. */
export function clientFindings(discovery: Discovery, us: Us): readonly Finding[] {
  const { metadata } = discovery
  const offersDocuments = metadata.client_id_metadata_document_supported === true
  const unread =
    offersDocuments && !us.publicUrl.startsWith('https:')
      ? [
          note({
            about,
            code: 'document_unreadable',
            words: `It reads client documents, but nobody can read ours at ${us.publicUrl}.`,
            clause: 'draft-ietf-oauth-client-id-metadata-document §3',
            mend: { by: 'administrator', how: 'Give LATCHKEY_PUBLIC_URL an https address.' },
          }),
        ]
      : []
  const way = wayOf(discovery, us)
  return [
    ...(way === 'preregistered' ? [] : unread),
    wayFinding(way, discovery, us),
    ...proof(way, discovery),
  ]
}

function wayFinding(way: RegistrationWay, { issuer, metadata }: Discovery, us: Us): Finding {
  switch (way) {
    case 'preregistered': {
      const words = `It knows Latchkey as ${us.clientId}, which was entered by hand; whether it does shows at the sign-in.`
      return note({ about, code: way, words, clause: approaches })
    }
    case 'cimd': {
      const words = `It reads who Latchkey is from a document of ours at ${us.publicUrl}; nothing has to be registered.`
      const clause = 'draft-ietf-oauth-client-id-metadata-document §4'
      return right({ about, code: way, words, clause })
    }
    case 'dcr': {
      const words = `Latchkey registers itself at ${metadata.registration_endpoint} (--register tries that out).`
      return right({ about, code: way, words, clause: 'RFC 7591 §3' })
    }
    case 'none':
      return stopping(
        wrong({
          about,
          code: 'no_registration',
          words: `${issuer} lets no client register itself and reads no client documents.`,
          clause: approaches,
          mend: {
            by: 'administrator',
            how: byHand,
          },
        }),
      )
  }
}

/** What to do where nothing registers itself. */
export const byHand =
  'Add the server here; that shows the redirect URI. Make a client there by hand with it, and enter its id with the server.'

/** Can we prove ourselves in a way that it lists? */
function proof(way: RegistrationWay, { metadata }: Discovery): readonly Finding[] {
  const listed = metadata.token_endpoint_auth_methods_supported
  if (way === 'none' || listed === undefined) return []
  const method = preferredAuthMethod(listed, { hasSecret: false })
  if (way === 'cimd' || way === 'preregistered' || listed.includes(method)) return []
  return [
    wrong({
      about,
      code: 'no_proof',
      words: `It takes only ${listed.join(', ')} for a proof of who asks, and Latchkey has none of these.`,
      clause: 'RFC 8414 §2; RFC 7591 §2',
      mend: {
        by: 'provider',
        how: 'Allow none with PKCE, client_secret_basic or client_secret_post.',
      },
    }),
  ]
}

/** What is asked for there, and who said so. */
export function scopeFindings(discovery: Discovery, us: Us): readonly Finding[] {
  const subject = 'scopes'
  const clause = 'MCP authorization, "Scope Selection Strategy"'
  const scopes = chooseScopes(discovery, { configured: us.scopes })
  if (scopes.length === 0) {
    const words = 'Nobody says which, so none is asked for and the authorization server decides.'
    return [note({ about: subject, code: 'none', words, clause })]
  }
  const words = `${sourceOf(discovery, us)}: ${scopes.join(' ')}`
  return [right({ about: subject, code: 'chosen', words, clause })]
}

function sourceOf({ challengeScope }: Discovery, { scopes }: Us): string {
  if (scopes !== undefined) return 'Asked for are those that you named'
  if (challengeScope !== undefined) return 'The challenge says which are asked for'
  return 'Asked for are all that the server lists'
}
