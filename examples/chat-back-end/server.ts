// The back end of a chat app whose users bring their own MCP servers. What is the app's: users, sessions, routes. What is
// Latchkey's: everything between "connect me" and a live token.
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { getCookie, setCookie } from 'hono/cookie'
import { createConnectors, isFault } from 'latchkey/client'
import { openToolbox } from './toolbox.ts'

const port = Number(process.env['PORT'] ?? 3001)
const origin = `http://localhost:${port}`

const connectors = await createConnectors({
  database: 'data/chat.db',
  key: process.env['CONNECTORS_KEY'] ?? '',
  publicUrl: origin,
  clientName: 'Example chat',
  allowPrivateNetworks: (process.env['ALLOW_PRIVATE_NETWORKS'] ?? '').split(',').filter(Boolean),
  log: (line) => void process.stderr.write(line),
})

const app = new Hono<{ Variables: { user: string } }>()

app.onError((error, context) => {
  if (isFault(error)) return context.json({ error: error.code, message: error.message }, 400)
  console.error(error)
  return context.json({ error: 'internal' }, 500)
})

// Stands for the sign-in that your app has: here everybody is whom they say they are.
app.get('/sign-in', (context) => {
  const user = context.req.query('as') ?? ''
  setCookie(context, 'chat_user', user, { httpOnly: true, sameSite: 'Lax' })
  return context.text(`You are ${user}.`)
})

// Where providers send the browser back to, and what they read about this app.
app.use(async (context, next) => {
  const user = getCookie(context, 'chat_user')
  const answer = await connectors.handle(context.req.raw, { user })
  if (answer !== undefined) return answer
  if (user === undefined) return context.json({ error: 'not_signed_in' }, 401)
  context.set('user', user)
  return next()
})

app.get('/connections', async (context) => {
  return context.json(await connectors.connections(context.get('user')))
})

app.post('/connections', async (context) => {
  const { server } = await context.req.json<{ server: string }>()
  return context.json(await connectors.begin(context.get('user'), server))
})

app.delete('/connections/:id', async (context) => {
  await connectors.remove(context.get('user'), context.req.param('id'))
  return context.body(null, 204)
})

// A real chat gives these to its model, and keeps the toolbox open for as long as the conversation.
app.get('/tools', async (context) => {
  const toolbox = await openToolbox(connectors, context.get('user'))
  await toolbox.close()
  return context.json(toolbox.tools)
})

app.post('/tools/:name', async (context) => {
  const toolbox = await openToolbox(connectors, context.get('user'))
  try {
    const input = await context.req.json<Record<string, unknown>>()
    return context.json(await toolbox.call(context.req.param('name'), input))
  } finally {
    await toolbox.close()
  }
})

const server = serve({ fetch: app.fetch, port, hostname: '127.0.0.1' }, () => {
  console.log(`The chat back end is on ${origin}`)
})

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    server.close()
    void connectors.close()
  })
}
