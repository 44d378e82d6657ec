// What a person does in each program that we know so that it reaches an address of ours: data alone, as the makers describe
// their programs. How it looks is connect-client.ts's business.
import { words as all } from './words.ts'

const words = all.connect

/** Where a program is to go. */
export interface Target {
  /** `/mcp`, or `/{slug}/mcp`, as a whole URL. */
  readonly url: string
  /** What the program is to call it: a word without blanks. */
  readonly name: string
  /** The authorization server, for programs that ask for its addresses. */
  readonly issuer: string
}

/** What one does: words, and what to copy or to press. */
export interface Step {
  readonly words?: string
  readonly copy?: string
  /** A link that opens the program itself. */
  readonly open?: string
  /** Other ways to do the same. */
  readonly or?: readonly Step[]
}

export interface ProgramSteps {
  /** As issuer/known-clients.ts has it; for those that it does not know, what they are. */
  readonly name: string
  /** It calls from its maker's machines, so that it reaches nothing on the person's own. */
  readonly isInTheCloud?: boolean
  readonly steps: readonly Step[]
}

/** The steps of every program. */
export function clientSteps(target: Target): readonly ProgramSteps[] {
  return [
    ...makersOwn(target),
    ...editors(target),
    ...terminals(target),
    { name: 'Copilot Studio', isInTheCloud: true, steps: copilotSteps(target) },
    { name: words.other.name, steps: otherSteps(target) },
  ]
}

function makersOwn({ url, name }: Target): readonly ProgramSteps[] {
  const { claude, claudeCode, chatgpt } = words
  return [
    {
      name: 'Claude',
      isInTheCloud: true,
      steps: [{ words: claude.open }, { words: claude.add, copy: url }, { words: claude.connect }],
    },
    {
      name: 'Claude Code',
      steps: [
        {
          words: claudeCode.add,
          copy: `claude mcp add --transport http --scope user ${name} ${url}`,
        },
        { words: claudeCode.connect },
      ],
    },
    {
      name: 'ChatGPT',
      isInTheCloud: true,
      steps: [
        { words: chatgpt.mode },
        { words: chatgpt.add, copy: url },
        { words: chatgpt.connect },
      ],
    },
  ]
}

function editors({ url, name }: Target): readonly ProgramSteps[] {
  const { cursor, vscode, json } = words
  const remote = { type: 'http', url }
  const config = Buffer.from(JSON.stringify({ url })).toString('base64')
  const query = new URLSearchParams({ name, config })
  const added = JSON.stringify({ name, ...remote })
  return [
    {
      name: 'Cursor',
      steps: [
        {
          open: `cursor://anysphere.cursor-deeplink/mcp/install?${query.toString()}`,
          or: [
            {
              words: `${json} ~/.cursor/mcp.json`,
              copy: pretty({ mcpServers: { [name]: { url } } }),
            },
          ],
        },
        { words: cursor.connect },
      ],
    },
    {
      name: 'VS Code',
      steps: [
        {
          open: `vscode:mcp/install?${encodeURIComponent(added)}`,
          or: [
            { words: vscode.command, copy: `code --add-mcp '${added}'` },
            { words: `${json} .vscode/mcp.json`, copy: pretty({ servers: { [name]: remote } }) },
          ],
        },
        { words: vscode.connect },
      ],
    },
  ]
}

function terminals({ url, name }: Target): readonly ProgramSteps[] {
  const { codex, gemini, goose, inspector } = words
  return [
    {
      name: 'Codex',
      steps: [
        { words: codex.add, copy: `codex mcp add ${name} --url ${url}` },
        { words: codex.connect, copy: `codex mcp login ${name}` },
      ],
    },
    {
      name: 'Gemini CLI',
      steps: [
        {
          words: gemini.add,
          copy: `gemini mcp add --transport http --scope user ${name} ${url}`,
        },
        { words: gemini.connect, copy: `/mcp auth ${name}` },
      ],
    },
    {
      name: 'Goose',
      steps: [
        { words: goose.open, copy: 'goose configure' },
        { words: goose.add, copy: url },
      ],
    },
    {
      name: 'MCP Inspector',
      steps: [
        {
          words: inspector.start,
          copy: `npx @modelcontextprotocol/inspector --transport http --server-url ${url}`,
        },
        { words: inspector.connect },
      ],
    },
  ]
}

function copilotSteps({ url, issuer }: Target): readonly Step[] {
  const { open, sign, connect } = words.copilot
  return [
    { words: open, copy: url },
    { words: sign, copy: `${issuer}/oauth/authorize\n${issuer}/oauth/token` },
    { words: connect },
  ]
}

function otherSteps({ url, name }: Target): readonly Step[] {
  const bridge = { command: 'npx', args: ['-y', 'mcp-remote', url] }
  return [
    { words: words.other.add, copy: url },
    { words: words.other.bridge, copy: pretty({ mcpServers: { [name]: bridge } }) },
  ]
}

function pretty(value: unknown): string {
  return JSON.stringify(value, undefined, 2)
}
