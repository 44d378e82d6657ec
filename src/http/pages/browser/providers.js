// Makes the provider forms nicer: an address is looked at by itself, two seconds after the last key. What is shown is drawn by
// the server, and everything also works without this script, by the button.
const quietMs = 2000
const watched = new Set(['name', 'kind', 'issuer'])

for (const form of document.querySelectorAll('[data-live-check]')) checkLive(form)

function checkLive(form) {
  let timer
  let asking = new AbortController()
  form.addEventListener('input', ({ target }) => {
    if (!watched.has(target.name) && !target.name.endsWith('Endpoint')) return
    clearTimeout(timer)
    asking.abort()
    for (const button of submits(form)) button.disabled = true
    timer = setTimeout(() => {
      asking = new AbortController()
      void look(form, asking.signal)
    }, quietMs)
  })
}

function submits(form) {
  return form.querySelectorAll('button.primary')
}

async function look(form, signal) {
  const isWhole = form.elements.issuer.validity.valid
  const found = form.querySelector('[data-found]')
  if (!isWhole) return
  found.prepend(spinner())
  found.querySelectorAll('[role]:not(.checking)').forEach((old) => old.remove())
  const fields = new URLSearchParams(new FormData(form))
  fields.set('action', 'check')
  try {
    const answer = await fetch(form.getAttribute('action'), {
      method: 'POST',
      body: fields,
      signal,
    })
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html')
    show(form, page.querySelector('[data-found]'))
  } catch {
    // It was typed on, or nobody could be asked: the button is still there.
    found.querySelector('.checking')?.remove()
  }
}

function spinner() {
  const note = document.createElement('p')
  note.className = 'checking'
  note.setAttribute('role', 'status')
  note.textContent = 'Looking at the provider…'
  return note
}

function show(form, drawn) {
  if (drawn === null) return location.reload()
  // A secret is never sent back, so what was typed is kept here.
  const typed = form.elements.clientSecret?.value ?? ''
  form.querySelector('[data-found]').replaceWith(drawn)
  if (typed !== '' && form.elements.clientSecret) form.elements.clientSecret.value = typed
  const isFound = drawn.querySelector('.good') !== null
  for (const button of submits(form)) button.disabled = !isFound
  showReveals(drawn)
}

/** A secret can be looked at while it is typed. */
function showReveals(root) {
  for (const button of root.querySelectorAll('[data-reveal]')) {
    button.hidden = false
    button.addEventListener('click', () => {
      const input = button.parentElement.querySelector('[data-secret]')
      const isShown = input.type === 'text'
      input.type = isShown ? 'password' : 'text'
      button.textContent = isShown ? 'Show' : 'Hide'
    })
  }
}
showReveals(document)
