// What can be wrong when a client does not connect: a table of findings. Each row says when it applies, what happened in
// plain words and what to do, with the clause of the standard. Order matters: the first row that applies is told first.
import type { Story, StoryEntry } from './story.ts'

/** One row of the table. */
export interface Finding {
  readonly code: string
  /** The entry that shows it; undefined when it does not apply. */
  readonly shownBy: (story: Story) => StoryEntry | undefined
  readonly happened: string
  readonly next: string
  /** Where the standard says so. */
  readonly clause?: string
  /** It is worth knowing but does not keep a client from connecting. */
  readonly isAside?: true
}

const minuteMs = 60_000
/** MCP clients give up on an answer after about this long. */
export const slowAnswerMs = 10_000
/** After so long without its next step a program has given up. */
export const programWaitMs = minuteMs
/** After so long without an answer a person has given up; a request of ours ends then too. */
export const personWaitMs = 10 * minuteMs

const restart = 'Remove the server in the client and add it again, so that the client begins anew.'
const firewall =
  'Look for a firewall, a bot rule or a proxy in front of Latchkey that lets some paths of this client through and blocks others; its log shows what never arrived here.'

/** Refusals that nothing came after, by the words of the refusal. */
const refused: readonly Finding[] = [
  {
    code: 'too_many_requests',
    shownBy: (story) =>
      story.refused('token.refused', 'too_many_requests') ??
      story.refused('authorization.refused', 'too_many_requests') ??
      story.refused('client.registration_refused', 'too_many_requests'),
    happened:
      'Too many requests came from the same place or for the same client, so this one was refused.',
    next: 'Wait and connect again. If many people share one address, a proxy in front must be named as trusted, so that they are told apart.',
    clause: 'RFC 6585 §4',
  },
  {
    code: 'redirect_uri_not_registered',
    shownBy: (story) => story.refused('authorization.refused', 'invalid_redirect_uri'),
    happened:
      'The client asked to be answered at an address that it has not registered, so the person saw an error page.',
    next: 'Add the redirect URI that the client uses to its registration, letter by letter, or let the client register again.',
    clause: 'RFC 6749 §3.1.2.3, RFC 9700 §2.1',
  },
  {
    code: 'redirect_uris_missing',
    shownBy: (story) =>
      story.refused('client.registration_refused', 'invalid_redirect_uri', /^redirect_uris is not/),
    happened:
      'The registration has no list of redirect URIs, or too many in it, so nobody could be sent back to the client.',
    next: 'The client needs redirect_uris with one to ten addresses; a program without a browser registers for the device code grant alone.',
    clause: 'RFC 7591 §2',
  },
  {
    code: 'redirect_uri_refused',
    shownBy: (story) => story.refused('client.registration_refused', 'invalid_redirect_uri'),
    happened: 'The registration names a redirect URI that is not safe to send people back to.',
    next: 'The client needs an https address, a loopback address, or a scheme of its own.',
    clause: 'RFC 7591 §3.2.2, RFC 8252 §7',
  },
  {
    code: 'registration_refused',
    shownBy: (story) => story.refused('client.registration_refused'),
    happened:
      'The client described itself in a way that cannot be accepted, so it got no client id.',
    next: 'The reason below says what is wrong. Register the client by hand if it cannot be changed.',
    clause: 'RFC 7591 §3.2.2',
  },
  {
    code: 'client_unknown',
    shownBy: (story) =>
      story.refused('authorization.refused', 'invalid_client', /no such client/) ??
      story.refused('token.refused', 'invalid_client', /no such client/),
    happened:
      'The client came with a client id that is not known here: it remembers a registration that is gone.',
    next: restart,
    clause: 'RFC 7591 §3.2.1, RFC 6749 §5.2',
  },
  {
    code: 'client_document_refused',
    shownBy: (story) => story.refused('authorization.refused', 'invalid_client'),
    happened: 'The client’s id is a URL, but the document behind it could not be read or believed.',
    next: 'Open the URL from the machine that Latchkey runs on. It must answer 200 with JSON that names the same URL as client_id.',
    clause: 'draft-ietf-oauth-client-id-metadata-document §4',
  },
  {
    code: 'client_disabled',
    shownBy: (story) =>
      story.refused('authorization.refused', 'unauthorized_client', /disabled/) ??
      story.refused('token.refused', 'invalid_client', /disabled/),
    happened: 'An administrator has switched this client off.',
    next: 'Switch it on again with "latchkey clients enable", if that is what you want.',
  },
  {
    code: 'pkce_missing',
    shownBy: (story) => story.refused('authorization.refused', 'invalid_request', /code_challenge/),
    happened: 'The client sent no PKCE challenge with S256, so its request was refused.',
    next: 'Update the client: MCP requires PKCE with S256 of every client.',
    clause: 'RFC 7636 §4.3, MCP authorization “Authorization Code Protection”',
  },
  {
    code: 'scope_unknown',
    shownBy: (story) =>
      story.refused('authorization.refused', 'invalid_scope') ??
      story.refused('token.refused', 'invalid_scope'),
    happened: 'The client asked for a permission that does not exist here or was not given to it.',
    next: 'Compare the scope in the client’s configuration with scopes_supported in the metadata; leave it out to get the usual ones.',
    clause: 'RFC 6749 §3.3, §4.1.2.1',
  },
  {
    code: 'resource_mismatch',
    shownBy: (story) =>
      story.refused('authorization.refused', 'invalid_target') ??
      story.refused('token.refused', 'invalid_target') ??
      story.refused('authorization.failed', 'invalid_target') ??
      story.refused('call.refused', 'invalid_token', /another resource/),
    happened:
      'The client asked for a token for one address and uses, or names, another: it is not the server that the token is for.',
    next: 'Give the client the server’s URL exactly as Latchkey shows it, with the same host, path and no slash at the end.',
    clause: 'RFC 8707 §2, RFC 9728 §3.3',
  },
  {
    code: 'authorize_request_bad',
    shownBy: (story) => story.refused('authorization.refused'),
    happened: 'The authorization request of the client was refused.',
    next: 'The reason below says what is wrong with it; update the client or its configuration.',
    clause: 'RFC 6749 §4.1.2.1',
  },
  {
    code: 'consent_denied',
    shownBy: (story) => story.refused('consent.denied'),
    happened: 'The person said no on the consent page.',
    next: 'Nothing is wrong. Connect again and approve if that was a mistake.',
    clause: 'RFC 6749 §4.1.2.1',
  },
  {
    code: 'server_closed',
    shownBy: (story) =>
      story.refused('authorization.failed', 'server_forbidden') ??
      story.refused('call.refused', 'server_forbidden'),
    happened: 'The person is not among those who may use this server.',
    next: 'If they should be, add them to the server’s mayUse (PATCH /api/v1/servers/{id}), then connect again.',
  },
  {
    code: 'authorization_failed',
    shownBy: (story) => story.refused('authorization.failed'),
    happened: 'The sign-in ended with an error that was sent back to the client.',
    next: 'The error below is what the client was told; connect again from the client.',
    clause: 'RFC 6749 §4.1.2.1',
  },
  {
    code: 'none_not_accepted',
    shownBy: (story) => story.refused('token.refused', 'invalid_client', /not registered for/),
    happened:
      'The client proves itself at the token endpoint in another way than it is registered for; often it is registered with a secret and sends none, or the other way round.',
    next: 'Register it with token_endpoint_auth_method "none" if it is a public program, or enter its client secret.',
    clause: 'RFC 7591 §2, RFC 6749 §2.3',
  },
  {
    code: 'client_secret_wrong',
    shownBy: (story) => story.refused('token.refused', 'invalid_client'),
    happened: 'The client could not prove who it is at the token endpoint.',
    next: 'Enter the client id and secret again; "latchkey clients rotate-secret" makes a new secret.',
    clause: 'RFC 6749 §5.2',
  },
  {
    code: 'refresh_refused',
    shownBy: (story) => story.refusedRefresh(),
    happened:
      'The client came back with a refresh token that is not valid any more, so its person must sign in again.',
    next: 'Connect again in the client. If it happens often, two copies of the client share one token: each needs its own sign-in.',
    clause: 'RFC 6749 §6, RFC 9700 §4.14.2',
  },
  {
    code: 'code_expired',
    shownBy: (story) => story.refused('token.refused', 'invalid_grant', /expired/),
    happened: 'The client redeemed its code too late.',
    next: 'Connect again. If it happens again, the client’s back end is slow or its clock waits; LATCHKEY_CODE_LIFETIME_S makes codes live longer.',
    clause: 'RFC 6749 §4.1.2',
  },
  {
    code: 'code_used_twice',
    shownBy: (story) => story.refused('token.refused', 'invalid_grant', /used before/),
    happened:
      'The same code was redeemed twice, which ends everything that was made from it: the page was reloaded, or the client sends its request twice.',
    next: 'Connect again from the client, and do not reload the page at the end.',
    clause: 'RFC 6749 §4.1.2',
  },
  {
    code: 'verifier_wrong',
    shownBy: (story) => story.refused('token.refused', 'invalid_grant', /verifier/),
    happened: 'The PKCE verifier does not belong to the challenge of the request.',
    next: 'Connect again in one window only: two attempts at once overwrite each other’s verifier in some clients.',
    clause: 'RFC 7636 §4.6',
  },
  {
    code: 'token_refused',
    shownBy: (story) => story.refused('token.refused'),
    happened: 'The token endpoint refused the client.',
    next: 'The reason below says why. Connect again from the client.',
    clause: 'RFC 6749 §5.2',
  },
  {
    code: 'not_connected_upstream',
    shownBy: (story) => story.refused('call.refused', /authorization_required|reauthorization/),
    happened:
      'The client is connected to Latchkey, but the person has not signed in at the server behind it.',
    next: 'Open Connections in Latchkey as that person and sign in at the server.',
  },
  {
    code: 'person_needed',
    shownBy: (story) => story.refused('call.refused', 'person_needed'),
    happened:
      'A program called a server with a token of its own (client_credentials); nobody stands behind such a token, and every server behind Latchkey is reached for a person.',
    next: 'Let a person sign in with the program (authorization code or device code), or let it call Latchkey’s own tools at /mcp only.',
    clause: 'RFC 6749 §4.4',
  },
  {
    code: 'scope_insufficient',
    shownBy: (story) => story.refused('call.refused', 'insufficient_scope'),
    happened: 'The token lacks a permission that the call needs.',
    next: 'Connect again and leave all permissions ticked.',
    clause: 'RFC 6750 §3.1',
  },
  {
    code: 'token_rejected',
    shownBy: (story) => story.refused('call.refused', 'invalid_token'),
    happened:
      'The client called with a token that is not valid: expired, revoked, or never made here.',
    next: 'The client should refresh or sign in again by itself; if it does not, remove the server in the client and add it again.',
    clause: 'RFC 6750 §3.1',
  },
  {
    code: 'call_refused',
    shownBy: (story) => story.refused('call.refused'),
    happened: 'The client is signed in, but its call was not answered by the server behind.',
    next: 'Try the server with "latchkey servers test"; the reason below says how far the call came.',
  },
  {
    code: 'metadata_not_found',
    shownBy: (story) => story.missedEverything(programWaitMs),
    happened: 'The client looked for the metadata at addresses where there is none, and gave up.',
    next: 'Give the client the server’s URL as Latchkey shows it. A proxy in front must pass everything under /.well-known/ on, with its path unchanged.',
    clause: 'RFC 9728 §3.1, RFC 8414 §3.1',
  },
]

/** Silence: the last thing that came is known, and what should have come next did not. */
const silent: readonly Finding[] = [
  {
    code: 'server_answered_with_error',
    shownBy: (story) => story.failedCall(),
    happened: 'The first call went through, and the server behind Latchkey answered with an error.',
    next: 'Look into the log of that server; "latchkey servers test" makes the same call.',
  },
  {
    code: 'token_never_used',
    shownBy: (story) => story.silentAfter('token', programWaitMs),
    happened:
      'The client got its token and never called with it. Everything up to here was right, so the call was most likely stopped on its way.',
    next: firewall,
    clause: 'RFC 6750 §2.1',
  },
  {
    code: 'code_never_redeemed',
    shownBy: (story) => story.silentAfter('approved', programWaitMs),
    happened:
      'The person approved and the browser was sent back with a code, but nobody came to redeem it.',
    next: `Either the client was not there any more (its window was closed, nothing listens at the redirect URI), it refused the answer because its issuer is written differently there (a slash too many), or its request was stopped. ${firewall}`,
    clause: 'RFC 6749 §4.1.3, RFC 9207 §2.4',
  },
  {
    code: 'authorize_not_finished',
    shownBy: (story) => story.silentAfter('authorizing', personWaitMs),
    happened: 'The person was asked to sign in or to approve, and did not finish.',
    next: 'Ask the person. If they saw an error, the journal has it; otherwise they closed the page: connect again.',
    clause: 'RFC 6749 §4.1.1',
  },
  {
    code: 'registered_then_silent',
    shownBy: (story) => story.silentAfter('registered', programWaitMs),
    happened: 'The client registered itself, but no browser came to sign in.',
    next: `The client may not have been able to open a browser, or the person did not click. ${firewall}`,
    clause: 'RFC 6749 §4.1.1',
  },
  {
    code: 'discovered_then_silent',
    shownBy: (story) => story.silentAfter('discovered', programWaitMs),
    happened: 'The client read the metadata and stopped: no registration and no sign-in followed.',
    next: `Either the client needs a client id that somebody enters by hand (make one with "latchkey clients create"), it refused the metadata because its address is written differently there, or its next request was stopped. ${firewall}`,
    clause: 'RFC 8414 §3.3, RFC 9728 §3.3',
  },
  {
    code: 'challenged_then_silent',
    shownBy: (story) => story.silentAfter('challenged', programWaitMs),
    happened:
      'The client called without a token, was told where to sign in, and did not come back.',
    next: `Either the client cannot sign in by itself (give it a newer version), a proxy removed the WWW-Authenticate header, or its next request was stopped. ${firewall}`,
    clause: 'RFC 9728 §5.1, MCP authorization “Authorization Server Discovery”',
  },
]

/** Worth knowing beside the reason. */
const aside: readonly Finding[] = [
  {
    code: 'issuer_slash',
    shownBy: (story) => story.lastMissing(/\/$/),
    happened: 'The client asked for metadata with a slash at the end, where there is none.',
    next: 'The issuer or server URL in the client’s configuration ends with a slash: take it away. Issuers are compared letter by letter.',
    clause: 'RFC 8414 §3.3, RFC 3986 §6.2.1',
    isAside: true,
  },
  {
    code: 'slow_answer',
    shownBy: (story) => story.slowest(slowAnswerMs),
    happened: 'An answer took longer than ten seconds, and most clients give up then.',
    next: 'Look at the load of the machine and the database, and, if a call was slow, at the server behind.',
    isAside: true,
  },
]

/** All findings in the order in which they are told. */
export const findings: readonly Finding[] = [...refused, ...silent, ...aside]
