// Makes the connections page nicer: a sign-in happens in a popup, and the page follows it. Everything here also works
// without this script, one page after the other; what is shown is always drawn by the server.
const everyMs = 1500
const patienceMs = 5 * 60 * 1000
const base = () => document.querySelector('#servers').dataset.base

document.addEventListener('submit', (event) => {
  const form = event.target
  const isSignIn = form.matches('[data-sign-in]')
  const isAdd = form.matches('[data-add]') && new FormData(form).get('auth') === 'oauth'
  if (!isSignIn && !isAdd) return
  event.preventDefault()
  // Only a click opens a window, so it is opened before anything is asked.
  const popup = open('', 'latchkey-sign-in', 'popup,width=600,height=720')
  const connection = isAdd ? addServer(form, popup) : Promise.resolve(form.dataset.signIn)
  void connection.then((id) => id && signIn(id, popup)).catch(() => form.submit())
})

/** Adds the server and gives the connection to sign in to; nothing where there is none to sign in to. */
async function addServer(form, popup) {
  const fields = new FormData(form)
  const name = fields.get('name').trim()
  const added = await call('POST', '/servers', { url: fields.get('url'), ...(name && { name }) })
  if (added.status !== 201) return (popup?.close(), form.submit())
  form.reset()
  const isSignedInTo = added.body.auth === 'oauth' && added.body.grantType === 'authorization_code'
  if (!isSignedInTo) return (popup?.close(), test(added.body.id))
  return (await call('POST', '/connections', { serverId: added.body.id })).body.id
}

async function signIn(id, popup) {
  const begun = await call('POST', `/connections/${id}/authorize`, { additionalScopes: '' })
  const url = begun.body.authorizeUrl
  if (popup === null || url === undefined) {
    popup?.close()
    return location.assign(`${base()}/connect/${id}`)
  }
  popup.location.replace(url)
  await redraw(await fetch(location.pathname))
  await follow(begun.body.flowId, popup)
}

/** Asks how the sign-in goes until it is over, the window is closed, or the person has had enough of it. */
async function follow(flowId, popup) {
  const waiting = new AbortController()
  const note = document.querySelector('[data-waiting]')
  note.hidden = false
  const cancel = () => {
    waiting.abort()
    popup.close()
  }
  note.querySelector('button').addEventListener('click', cancel, { signal: waiting.signal })
  const endsAt = Date.now() + patienceMs
  let flow = await flowOf(flowId)
  while (flow.status === 'pending' && Date.now() < endsAt && !waiting.signal.aborted) {
    // A provider can cut its window off from ours; then it only looks closed. Coming back to this page asks once more.
    if (popup.closed) addEventListener('focus', () => void finish(flowId), { once: true })
    if (popup.closed) break
    await new Promise((resolve) => setTimeout(resolve, everyMs))
    flow = await flowOf(flowId)
  }
  note.hidden = true
  waiting.abort()
  await finish(flowId)
}

async function finish(flowId) {
  const { status, connectionId } = await flowOf(flowId)
  if (status !== 'completed') return redraw(await fetch(location.pathname))
  const { serverId } = (await call('GET', `/connections/${connectionId}`)).body
  await test(serverId)
}

async function flowOf(flowId) {
  return (await call('GET', `/flows/${flowId}`)).body
}

/** Has the tools listed, as the button does. */
async function test(serverId) {
  const fields = new URLSearchParams({
    form_token: document.querySelector('#servers').dataset.formToken,
    server: serverId,
  })
  await redraw(await fetch(`${location.pathname}/test`, { method: 'POST', body: fields }))
}

async function redraw(response) {
  const page = new DOMParser().parseFromString(await response.text(), 'text/html')
  document.querySelector('#servers').replaceWith(page.querySelector('#servers'))
}

async function call(method, path, body) {
  const answer = await fetch(`${base()}/api/v1${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  })
  return { status: answer.status, body: await answer.json() }
}
