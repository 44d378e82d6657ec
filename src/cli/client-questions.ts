// The questions of `latchkey clients create`: what the flags do not say is asked for, one thing after the other, and an
// answer that cannot be used is asked for again.
import { isFault } from '../base/fault.ts'
import type { NewClient } from '../issuer/client-registration.ts'
import { claudeRedirectUris } from '../issuer/known-clients.ts'
import { toolsScope } from '../issuer/scopes.ts'
import type { Workshop } from '../workshop.ts'
import { askUntilUsable, splitList } from './terminal.ts'
import type { Answer } from './terminal.ts'
import { emptyPerson, lookUpPerson, noSuchPerson } from './users.ts'
import type { Bench } from './workshop.ts'

/** What the flags say. */
export interface CreateOptions {
  readonly name?: string
  readonly redirectUri?: readonly string[]
  readonly scope?: readonly string[]
  readonly user?: string
  readonly authMethod?: string
  readonly grantType?: readonly string[]
  readonly dpop?: boolean
  readonly resource?: string
  readonly mayReach?: readonly string[]
  readonly json?: boolean
}

export interface Answers extends CreateOptions {
  readonly isToBeConfirmed: boolean
}

/** What is missing is asked for where a person can answer; elsewhere it is an error. */
export async function complete(
  bench: Bench,
  options: CreateOptions,
): Promise<Answers | 'given_up'> {
  const needsRedirectUri = isForBrowsers(options) && options.redirectUri === undefined
  const isComplete = options.name !== undefined && !needsRedirectUri
  if (isComplete) return { ...options, isToBeConfirmed: false }
  const { workshop, terminal } = bench
  if (!terminal.isInteractive || options.json === true) {
    throw new Error('Say --name and --redirect-uri, or run this in a terminal to be asked.')
  }
  const ask = <T>(question: string, read: (answer: string) => Promise<Answer<T>>) =>
    askUntilUsable(terminal, question, read)

  const name =
    options.name ?? (await ask('Name that people see', (answer) => readName(workshop, answer)))
  if (name === undefined) return 'given_up'
  const redirectUri =
    options.redirectUri ??
    (isForBrowsers(options)
      ? await ask('Redirect URIs, with commas between them [those of Claude]', (answer) =>
          readRedirectUris(workshop, answer),
        )
      : [])
  if (redirectUri === undefined) return 'given_up'
  const scope =
    options.scope ??
    (await ask(`Scopes, with commas between them [${toolsScope}]`, (answer) =>
      readScopes(workshop, answer),
    ))
  if (scope === undefined) return 'given_up'
  const user =
    options.user ??
    (await ask('Who answers for it (e-mail or user id)', (answer) => readUser(workshop, answer)))
  if (user === undefined) return 'given_up'
  return { ...options, name, redirectUri, scope, user, isToBeConfirmed: true }
}

/** Only who is answered by a redirect has to say where to (RFC 7591 §2); a device or a program by itself is not. */
export function isForBrowsers({ grantType }: CreateOptions): boolean {
  return grantType === undefined || grantType.includes('authorization_code')
}

export const emptyName = 'The name must not be empty.'
export const noRedirectUri = 'At least one redirect URI is needed.'

async function readName(workshop: Workshop, name: string): Promise<Answer<string>> {
  if (name === '') return { kind: 'wrong', because: emptyName }
  return checked(workshop, { name }, name)
}

async function readRedirectUris(
  workshop: Workshop,
  answer: string,
): Promise<Answer<readonly string[]>> {
  const redirectUris = answer === '' ? claudeRedirectUris : splitList(answer)
  if (redirectUris.length === 0) return { kind: 'wrong', because: noRedirectUri }
  return checked(workshop, { redirectUris }, redirectUris)
}

async function readScopes(workshop: Workshop, answer: string): Promise<Answer<readonly string[]>> {
  const scopes = splitList(answer === '' ? toolsScope : answer)
  return checked(workshop, { scopes }, scopes)
}

async function readUser(workshop: Workshop, who: string): Promise<Answer<string>> {
  if (who === '') return { kind: 'wrong', because: emptyPerson }
  const person = await lookUpPerson(workshop, who)
  return person === undefined
    ? { kind: 'wrong', because: noSuchPerson(who) }
    : { kind: 'usable', value: who }
}

/** One part of a description at a time, by the rules of the whole. */
async function checked<T>(
  { issuer, tenant }: Workshop,
  part: Partial<NewClient>,
  value: T,
): Promise<Answer<T>> {
  try {
    await issuer.clients.check(
      { tenant },
      { name: 'A client', redirectUris: claudeRedirectUris, ...part },
    )
    return { kind: 'usable', value }
  } catch (thrown) {
    if (!isFault(thrown) || thrown.code !== 'invalid_input') throw thrown
    return { kind: 'wrong', because: Object.values(thrown.detail ?? {}).join(' ') }
  }
}
