// Says whether a document that a look came upon is sent as JSON.
import type { Exchange } from '../upstream/trace.ts'
import { wrong } from './doctor-finding.ts'
import type { Finding, Mender, Subject } from './doctor-finding.ts'

/** Nothing where it is; `named` is how the words begin. */
export function contentTypeFindings(
  { response }: Exchange,
  {
    named,
    by,
    ...place
  }: {
    readonly about: Subject
    readonly named: string
    readonly clause: string
    readonly by: Mender
  },
): readonly Finding[] {
  const type = response?.headers.get('content-type') ?? 'no type'
  // RFC 6839 §3.1: a type that ends in +json is JSON too.
  if (/^application\/(?:[\w.+-]+\+)?json\b/i.test(type)) return []
  const sentAs = type.slice(0, typeCharsMax)
  return [
    wrong({
      ...place,
      code: 'content_type',
      words: `${named} is sent as ${sentAs}. Latchkey reads it all the same; other clients may not.`,
      mend: { by, how: 'Send Content-Type: application/json.' },
    }),
  ]
}

const typeCharsMax = 60
