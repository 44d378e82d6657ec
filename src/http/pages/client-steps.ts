// How a person connects each program to one of our addresses, as its makers describe it. What is typed or pasted is written
// out whole; a name for the address comes from its slug, so nothing here needs quoting.

/** Where a program is to connect, and what it may call that. */
export interface Endpoint {
  readonly url: string
  /** Letters, digits and hyphens. */
  readonly name: string
}

export interface ClientSteps {
  readonly client: string
  /** It asks us from its maker's machines, so that it reaches nothing on the person's own. */
  readonly isInTheCloud: boolean
  readonly steps: readonly Step[]
}

/** What to do, and what to type or paste there. */
export interface Step {
  readonly words: string
  readonly text?: string
}

const json = (value: unknown) => JSON.stringify(value, undefined, 2)

/** The programs that we know, in the order in which they are shown. */
export function stepsFor(endpoint: Endpoint): readonly ClientSteps[] {
  return [
    ...cloudSteps(endpoint),
    ...editorSteps(endpoint),
    ...terminalSteps(endpoint),
    ...otherSteps(endpoint),
  ]
}

function cloudSteps({ url }: Endpoint): readonly ClientSteps[] {
  return [
    {
      client: 'Claude',
      isInTheCloud: true,
      steps: [
        { words: 'Open Settings, then Connectors, then Add custom connector.' },
        { words: 'Give it a name, and this as the URL of the server:', text: url },
        { words: 'Press Add, then Connect. Sign in here and approve.' },
      ],
    },
    {
      client: 'ChatGPT',
      isInTheCloud: true,
      steps: [
        { words: 'Open Settings, then Apps; under Advanced settings switch on Developer mode.' },
        { words: 'Press Create; choose OAuth, and this as the URL of the server:', text: url },
        { words: 'Press Create again. Sign in here and approve.' },
      ],
    },
  ]
}

function editorSteps({ url, name }: Endpoint): readonly ClientSteps[] {
  return [
    {
      client: 'Cursor',
      isInTheCloud: false,
      steps: [
        {
          words: 'Put this into ~/.cursor/mcp.json, beside what is there:',
          text: json({ mcpServers: { [name]: { url } } }),
        },
        { words: 'Open Cursor Settings, then MCP, and press Connect beside the server.' },
      ],
    },
    {
      client: 'VS Code',
      isInTheCloud: false,
      steps: [
        {
          words: 'Put this into .vscode/mcp.json, beside what is there:',
          text: json({ servers: { [name]: { type: 'http', url } } }),
        },
        { words: 'Press Start above the server in that file, then Allow.' },
      ],
    },
  ]
}

function terminalSteps({ url, name }: Endpoint): readonly ClientSteps[] {
  const inTerminal = 'In a terminal:'
  return [
    {
      client: 'Claude Code',
      isInTheCloud: false,
      steps: [
        { words: inTerminal, text: `claude mcp add --transport http ${name} ${url}` },
        {
          words: 'Start Claude Code and type this; choose the server, then Authenticate:',
          text: '/mcp',
        },
      ],
    },
    {
      client: 'Codex',
      isInTheCloud: false,
      steps: [
        { words: inTerminal, text: `codex mcp add ${name} --url ${url}` },
        { words: 'Then:', text: `codex mcp login ${name}` },
      ],
    },
    {
      client: 'Gemini CLI',
      isInTheCloud: false,
      steps: [
        { words: inTerminal, text: `gemini mcp add --transport http ${name} ${url}` },
        { words: 'Start Gemini CLI and type:', text: `/mcp auth ${name}` },
      ],
    },
  ]
}

function otherSteps({ url, name }: Endpoint): readonly ClientSteps[] {
  return [
    {
      client: 'MCP Inspector',
      isInTheCloud: false,
      steps: [
        { words: 'In a terminal:', text: 'npx @modelcontextprotocol/inspector' },
        { words: 'Choose Streamable HTTP, and this as the URL; then press Connect:', text: url },
      ],
    },
    {
      client: 'A program that only starts servers itself',
      isInTheCloud: false,
      steps: [
        {
          words: 'Have it start this one, which passes everything on and signs in in the browser:',
          text: json({ mcpServers: { [name]: { command: 'npx', args: ['mcp-remote', url] } } }),
        },
      ],
    },
  ]
}
