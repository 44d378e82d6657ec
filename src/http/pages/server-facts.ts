// What is known of one server, and whether it answers: its facts, the result of a test in words with what to do about it, and
// its tools as the person sees them.
import { html } from 'hono/html'
import type { PublicServer, ServerTest } from '../../connectors/servers.ts'
import { isListedOpen, saysReadOnly, scopesOpening } from '../../gateway/policy.ts'
import { resourceOf } from '../../gateway/targets.ts'
import type { Tenant } from '../../people/tenants.ts'
import { pathIn } from '../place.ts'
import type { Html } from './layout.ts'
import { connectionsPath } from './server-row.ts'
import { reachedPill } from './servers.ts'
import { short } from './shown.ts'
import { ago } from './when.ts'
import { words } from './words.ts'

const said = words.server

interface Facts {
  readonly server: PublicServer
  readonly tenant: Tenant
  readonly now: number
}

/** Draws what is known of it. */
export function factsCard({ server, tenant, now }: Facts): Html {
  const { slug, url, issuer, redirectUri, headerNames, clientKey, transport, quirks = [] } = server
  const { facts } = said
  return html`
    <section class="card">
      <dl class="facts">
        ${fact(facts.address, copied(resourceOf(tenant, slug)))}
        ${fact(facts.url, html`<code>${url}</code>`)} ${fact(facts.reached, reachedPill(server))}
        ${issuer === undefined ? '' : fact(facts.issuer, html`<code>${issuer}</code>`)}
        ${
          redirectUri === undefined
            ? ''
            : fact(
                facts.redirectUri,
                html`${copied(redirectUri)} <span class="quiet">${facts.redirectUriHint}</span>`,
              )
        }
        ${clientFacts(server)}
        ${clientKey === undefined ? '' : fact(facts.clientKeys, copied(clientKey.jwksUri))}
        ${headerNames.length === 0 ? '' : fact(facts.headers, html`<code>${headerNames.join(', ')}</code>`)}
        ${fact(
          facts.transport,
          transport === undefined
            ? html`<span class="quiet">${facts.transportUnknown}</span>`
            : html`${facts.transports[transport]}`,
        )}
        ${quirks.length === 0 ? '' : fact(facts.quirks, quirkList(quirks))}
        ${fact(facts.added, ago(server.createdAt, now))}
      </dl>
    </section>
  `
}

function fact(name: string, value: Html): Html {
  return html`<dt>${name}</dt>
    <dd>${value}</dd>`
}

/** One press selects all of it. */
function copied(text: string): Html {
  return html`<code class="copied">${text}</code>`
}

function clientFacts({ auth, clientId, hasClientSecret }: PublicServer): Html {
  if (auth !== 'oauth') return html``
  const { facts } = said
  if (clientId === undefined) return fact(facts.clientId, html`${facts.registersItself}`)
  return html`
    ${fact(facts.clientId, html`<code>${clientId}</code>`)}
    ${fact(facts.clientSecret, html`${hasClientSecret ? facts.secretKept : facts.noSecret}`)}
  `
}

function quirkList(quirks: NonNullable<PublicServer['quirks']>): Html {
  return html`${quirks.map(
    ({ provider, because }) => html`<div><strong>${provider}</strong> ${because}</div>`,
  )}`
}

interface Tested {
  readonly server: PublicServer
  readonly tenant: Tenant
  readonly test: ServerTest | undefined
  readonly token: string
  readonly action: string
}

/** Draws the button that tries it out, and what that has just shown. */
export function testCard({ server, tenant, test, token, action }: Tested): Html {
  return html`
    <section class="card">
      <h2>${said.test.title}</h2>
      <p class="quiet">${said.test.intro}</p>
      <form method="post" action="${action}">
        <input type="hidden" name="form_token" value="${token}" />
        <button class="primary" name="action" value="test">${said.test.button}</button>
      </form>
      ${test === undefined ? '' : test.ok ? toolList(server, test) : failure(test, tenant)}
    </section>
  `
}

type Failure = Extract<ServerTest, { readonly ok: false }>

function failure({ error, words: happened, discovered }: Failure, tenant: Tenant): Html {
  const isUnsigned = error === 'authorization_required'
  const todos: Readonly<Record<string, string>> = said.test.todo
  const needsClient = discovered?.registration === 'none'
  const todo = needsClient
    ? said.test.needsClient
    : isUnsigned && discovered !== undefined
      ? said.test.canSignIn
      : todos[error]
  return html`
    <div class="warning" role="alert">
      <p>${happened}</p>
      ${todo === undefined ? '' : html`<p>${todo}</p>`}
    </div>
    ${
      isUnsigned && !needsClient
        ? html`<p class="buttons">
            <a class="button" href="${pathIn(tenant, connectionsPath)}">${said.test.connect}</a>
          </p>`
        : ''
    }
    ${traceOf(discovered)}
  `
}

function traceOf(discovered: Failure['discovered']): Html {
  const steps = discovered?.trace ?? []
  if (steps.length === 0) return html``
  return html`<details>
    <summary>${said.test.lookedAt}</summary>
    <ul>
      ${steps.map(
        ({ step, host, status, outcome }) =>
          html`<li>${step}: ${host}, ${status === undefined ? '' : `${status}, `}${outcome}</li>`,
      )}
    </ul>
  </details>`
}

type Answered = Extract<ServerTest, { readonly ok: true }>
type Tool = Answered['tools'][number]

const toolsShown = 100
const descriptionCharsShown = 240

function toolList(server: PublicServer, { toolCount, tools }: Answered): Html {
  if (toolCount === 0) return html`<p class="note good" role="status">${said.test.noTools}</p>`
  const noun = toolCount === 1 ? said.test.tool : said.test.tools
  const rest = toolCount - toolsShown
  return html`
    <p class="note good" role="status">${said.test.worked} ${toolCount} ${noun}.</p>
    <ul class="scopes">
      ${tools.slice(0, toolsShown).map((tool) => toolItem(server, tool))}
    </ul>
    ${rest > 0 ? html`<p class="quiet">${rest} ${said.test.more}</p>` : ''}
  `
}

function toolItem(server: PublicServer, tool: Tool): Html {
  const { name, description } = tool
  return html`<li class="row">
    <div class="wide">
      <strong><bdi>${short(name)}</bdi></strong>
      <span class="pill ${isDestructive(tool) ? 'attention' : ''}">${manner(tool)}</span>
      ${openPill(server, tool)}
      ${
        description === undefined
          ? ''
          : html`<div class="quiet"><bdi>${short(description, descriptionCharsShown)}</bdi></div>`
      }
    </div>
  </li>`
}

/** MCP, `ToolAnnotations`: a tool that says nothing may do anything. */
function manner({ annotations = {} }: Tool): string {
  const { readOnlyHint, destructiveHint } = annotations
  if (readOnlyHint === true) return said.test.readOnly
  if (destructiveHint === true) return said.test.destructive
  return destructiveHint === false || readOnlyHint === false ? said.test.writes : said.test.unsaid
}

function isDestructive({ annotations = {} }: Tool): boolean {
  return annotations.readOnlyHint !== true && annotations.destructiveHint === true
}

function openPill({ toolPolicy = {}, toolScopes }: PublicServer, tool: Tool): Html {
  const isReadOnlyAlone = toolPolicy.readOnly === true && !saysReadOnly({ ...tool })
  const isClosed = isReadOnlyAlone || !isListedOpen(toolPolicy, tool.name)
  if (isClosed) return html`<span class="pill attention">${said.test.closed}</span>`
  if (toolScopes === undefined) return html``
  const [first] = scopesOpening(toolScopes, tool.name)
  return first === undefined
    ? html`<span class="pill attention">${said.test.noScope}</span>`
    : html`<span class="pill info">${said.test.needs} ${first.scope}</span>`
}
