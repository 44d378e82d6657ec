// Tells the page that opened this popup how the sign-in ended, and closes it. Where the opener is cut off
// (Cross-Origin-Opener-Policy) nothing is lost: the opener learns the end from the flow's status.
const result = document.querySelector('[data-flow]')
if (result !== null) {
  const { flow, connection, success, origin } = result.dataset
  const ids = { flowId: flow, connectionId: connection }
  const message = { type: 'mcp_oauth_done', success: success === 'true', ...ids }
  const opener = window.opener
  if (opener !== null) opener.postMessage(message, origin)
  if (opener !== null) setTimeout(() => window.close(), message.success ? 600 : 2500)
}
