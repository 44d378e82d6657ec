// What the pages say, in one place: whoever reads these reads our voice, and another language is another file of this
// shape. Calm and short; a problem says what happened and what to do. What stands around a word (a name, a time, a link) is put in
// by the page.

/** The words of the pages, by page. */
export const words = {
  places: {
    own: 'Yours',
    administration: 'Administration',
    connections: 'Connections',
    connect: 'Connect a client',
    apps: 'Apps with access',
    clients: 'Clients',
    providers: 'Sign-in providers',
    support: 'Support',
  },
  common: {
    showMore: 'Show more',
    copy: 'Copy',
    copied: 'Copied',
  },
  connect: {
    lead: 'A client is the program that you work in: it calls your servers for you, after you let it in here once.',
    which: 'What it should reach',
    all: 'All my servers as one',
    choose: 'Show the steps',
    address: 'The address',
    forAll: 'All servers that you may use, in one place, with tools of Latchkey’s own.',
    forOne: 'This server alone:',
    notPublic:
      'This address works only on this machine or network. Claude, ChatGPT and Copilot Studio call from the internet and cannot reach it; programs on this machine can.',
    afterwards:
      'The first time, your browser opens this place: you see who asks for what, and approve. What you let in stands under',
    signIns: 'A server that wants a sign-in of yours has it under',
    programs: 'In your program',
    install: (program: string) => `Open in ${program}`,
    json: 'Or by hand, in this file:',
    claude: {
      open: 'Open Customize, then Connectors (in older versions Settings, then Connectors). In a team, an owner first does this in the organisation’s settings.',
      add: 'Press +, choose “Add custom connector”, and paste the address as its URL:',
      connect: 'Press Add, then Connect. The client id and secret stay empty.',
    },
    claudeCode: {
      add: 'Run this in a terminal:',
      connect: 'Start Claude Code, type /mcp, choose this server, then Authenticate.',
    },
    codex: {
      add: 'Run this in a terminal:',
      connect: 'If the browser does not open by itself, run this too:',
    },
    chatgpt: {
      mode: 'On the web, open Settings and turn Developer mode on: under “Security and login”, in older versions under “Apps”, “Advanced settings”. In a workspace, an administrator may have to allow it.',
      add: 'Open Plugins (in older versions Settings, then Apps), press + to create an app, and paste the address as the URL of its server:',
      connect: 'Choose OAuth, leave the client id and secret empty, and create it.',
    },
    cursor: {
      connect: 'Open Settings, then “Tools & MCP”, and press Connect beside this server.',
    },
    vscode: {
      command: 'Or run this in a terminal:',
      connect: 'Start the server when VS Code offers it, and allow it to sign in.',
    },
    gemini: {
      add: 'Run this in a terminal:',
      connect: 'Start Gemini CLI and type:',
    },
    goose: {
      open: 'Run this in a terminal, and choose “Add Extension”, then “Remote Extension (Streamable HTTP)”:',
      add: 'Give it a name, and paste the address as its endpoint:',
    },
    inspector: {
      start: 'Run this in a terminal, and open the address that it prints:',
      connect: 'Press Connect.',
    },
    copilot: {
      open: 'On the Tools page of your agent choose “Add a tool”, “New tool”, “Model Context Protocol”, and paste the address as its URL:',
      sign: 'Choose OAuth 2.0 and Dynamic discovery. Where that is not offered choose Manual, with a client that an administrator makes for you, and these addresses:',
      connect: 'Create it, then create a connection and add it to the agent.',
    },
    other: {
      name: 'Another program',
      add: 'Where it takes the address of a remote MCP server (Streamable HTTP), paste this; it finds out by itself how to sign in:',
      bridge: 'A program that only starts servers on its own machine takes this:',
    },
  },
} as const
