// MCP servers that many people want, as data: where they are, and what an administrator has to bring along. What a
// provider does differently from the standards stands in upstream/quirks.ts.

/** A server that somebody else runs for everybody. */
export interface ServerTemplate {
  /** What the command line calls it; also its slug when that is free. */
  readonly id: string
  readonly name: string
  readonly url: string
  readonly auth: 'oauth'
  /** `none`: we register by ourselves. `given`: an administrator makes the client there and gives its id and secret. */
  readonly client: 'none' | 'given'
  /** For people: what to do before. */
  readonly words: string
}

const registers = 'Nothing to prepare: Latchkey registers there by itself.'

/** All of them, in the order of their names. */
export const serverTemplates: readonly ServerTemplate[] = [
  {
    // github.com/github/github-mcp-server#2532: its authorization server takes no registrations.
    id: 'github',
    name: 'GitHub',
    url: 'https://api.githubcopilot.com/mcp/',
    auth: 'oauth',
    client: 'given',
    words:
      'Add it, then make an OAuth app or a GitHub App with its redirect URI, and give id and secret.',
  },
  {
    // linear.app/docs/mcp
    id: 'linear',
    name: 'Linear',
    url: 'https://mcp.linear.app/mcp',
    auth: 'oauth',
    client: 'none',
    words: registers,
  },
  {
    // developers.notion.com/guides/mcp/build-mcp-client
    id: 'notion',
    name: 'Notion',
    url: 'https://mcp.notion.com/mcp',
    auth: 'oauth',
    client: 'none',
    words: registers,
  },
  {
    // docs.sentry.io/product/sentry-mcp
    id: 'sentry',
    name: 'Sentry',
    url: 'https://mcp.sentry.dev/mcp',
    auth: 'oauth',
    client: 'none',
    words: registers,
  },
  {
    // docs.slack.dev/ai/slack-mcp-server
    id: 'slack',
    name: 'Slack',
    url: 'https://mcp.slack.com/mcp',
    auth: 'oauth',
    client: 'given',
    words: 'Add it, then make a Slack app with MCP and its redirect URI, and give id and secret.',
  },
]
