// Latchkey's own tools at `/mcp`, each for one verified person. No tool sees a token, and none says anything secret.
import { z } from 'zod'
import { connectionStates, connectLink, isSignedInTo } from '../connectors/connection-states.ts'
import type { Connections } from '../connectors/connections.ts'
import type { Server, Servers } from '../connectors/servers.ts'
import type { TokenPrincipal } from '../people/principal.ts'
import type { SupportRequests } from '../people/support-requests.ts'
import type { Message } from '../connectors/post-message.ts'

/** A tool as it is listed, and what it does. */
export interface OwnTool {
  readonly listed: Message & { readonly name: string }
  /** Its result; bad arguments are an error that the model can mend. */
  readonly run: (args: unknown) => Promise<Message>
}

export interface OwnToolNeeds {
  readonly servers: Pick<Servers, 'usable'>
  readonly connections: Pick<Connections, 'list' | 'ensure' | 'sharedServers'>
  readonly support: Pick<SupportRequests, 'isOn' | 'ask'>
}

/** The tools of this caller. */
export async function ownToolsFor(
  needs: OwnToolNeeds,
  principal: TokenPrincipal,
): Promise<readonly OwnTool[]> {
  const tools = [whoAmI(principal), listConnections(needs, principal), connect(needs, principal)]
  const isSupported = await needs.support.isOn(principal.tenant)
  return isSupported ? [...tools, getSupport(needs, principal)] : tools
}

interface Described<T extends z.ZodType> {
  readonly name: string
  readonly title: string
  readonly description: string
  readonly input: T
  readonly output?: z.ZodType
  readonly isReading: boolean
}

function tool<T extends z.ZodType>(
  { name, title, description, input, output, isReading }: Described<T>,
  run: (args: z.infer<T>) => Promise<Message> | Message,
): OwnTool {
  return {
    listed: {
      name,
      title,
      description,
      inputSchema: schemaOf(input),
      ...(output === undefined ? {} : { outputSchema: schemaOf(output) }),
      annotations: isReading
        ? { readOnlyHint: true, openWorldHint: false }
        : { readOnlyHint: false, destructiveHint: false, openWorldHint: false },
    },
    run: async (args) => {
      const parsed = input.safeParse(args ?? {})
      if (parsed.success) return run(parsed.data)
      return {
        ...says(`The arguments cannot be used: ${z.prettifyError(parsed.error)}`),
        isError: true,
      }
    },
  }
}

function schemaOf(shape: z.ZodType): Message {
  return z.toJSONSchema(shape)
}

function says(text: string): Message {
  return { content: [{ type: 'text', text }] }
}

function tells(facts: Message): Message {
  return { ...says(JSON.stringify(facts)), structuredContent: facts }
}

function whoAmI({ tenant, user, clientId, scopes }: TokenPrincipal): OwnTool {
  return tool(
    {
      name: 'whoami',
      title: 'Who am I',
      description: 'Says who is signed in here, through which app, and with which permissions.',
      input: z.object({}),
      output: z.object({
        userId: z.string().optional(),
        email: z.string().optional(),
        name: z.string().optional(),
        tenant: z.string(),
        clientId: z.string(),
        scopes: z.array(z.string()),
      }),
      isReading: true,
    },
    () =>
      tells({
        ...(user === undefined ? {} : { userId: user.id }),
        ...(user?.email === undefined ? {} : { email: user.email }),
        ...(user?.name === undefined ? {} : { name: user.name }),
        tenant: tenant.slug,
        clientId,
        scopes: [...scopes],
      }),
  )
}

const connectionStatus = z.object({
  server: z.string(),
  name: z.string(),
  status: z.string(),
  statusReason: z.string().optional(),
  connectUrl: z.string().optional(),
})

function listConnections(needs: OwnToolNeeds, principal: TokenPrincipal): OwnTool {
  return tool(
    {
      name: 'list_connections',
      title: 'List connections',
      description:
        'Lists the servers whose tools can be used here, whether each is connected, and the link where the person connects it if it is not.',
      input: z.object({}),
      output: z.object({ connections: z.array(connectionStatus) }),
      isReading: true,
    },
    async () => tells({ connections: await connectionStates(needs, principal) }),
  )
}

function connect(needs: OwnToolNeeds, principal: TokenPrincipal): OwnTool {
  const input = z.object({
    server: z.string().min(1).max(36).describe('The server, as list_connections names it.'),
  })
  return tool(
    {
      name: 'connect',
      title: 'Connect a server',
      description:
        'Gives the link where the person signs in to a server. Show the link to the person; only they can use it.',
      input,
      output: z.object({
        server: z.string(),
        connectUrl: z.string().optional(),
        words: z.string().optional(),
      }),
      isReading: false,
    },
    async ({ server: slug }) => {
      const server = await usableBy(needs, principal, slug)
      if (server === undefined) {
        return { ...says('There is no such server here. Ask list_connections.'), isError: true }
      }
      if (!isSignedInTo(server)) return tells({ server: slug, words: 'It needs no sign-in.' })
      return tells({ server: slug, connectUrl: await connectLink(needs, principal, server) })
    },
  )
}

async function usableBy(
  { servers }: OwnToolNeeds,
  principal: TokenPrincipal,
  slug: string,
): Promise<Server | undefined> {
  if (principal.user === undefined) return undefined
  return (await servers.usable(principal)).find((server) => server.slug === slug)
}

/** S4-33, word for word. */
export const supportTexts = {
  created: 'Support ticket created successfully. The user will be notified via email.',
  noEmail: 'To get support, please log in and then call this tool again.',
} as const

function getSupport({ support }: OwnToolNeeds, principal: TokenPrincipal): OwnTool {
  const input = z.object({
    title: z.string().trim().min(1).max(200).describe('A short title of the problem.'),
    problemDescription: z
      .string()
      .trim()
      .min(1)
      .max(5_000)
      .describe('A concise summary of what the person needs help with.'),
    problemContext: z
      .string()
      .max(20_000)
      .optional()
      .describe('What was tried, and any error messages.'),
  })
  return tool(
    {
      name: 'get_support',
      title: 'Get support',
      description:
        'Creates a support ticket for the signed-in person. Do not include passwords, tokens, API keys or any other secrets in any field.',
      input,
      isReading: false,
    },
    async ({ title, problemDescription: description, problemContext: context }) => {
      const asked = { title, description, ...(context === undefined ? {} : { context }) }
      const request = await support.ask(principal, asked)
      return says(request === undefined ? supportTexts.noEmail : supportTexts.created)
    },
  )
}
