// Puts what stands in a box on the clipboard. Without it people select and copy as ever.
async function copy({ source, said, words }) {
  await navigator.clipboard.writeText(source.textContent)
  said.textContent = words
  setTimeout(() => (said.textContent = ''), 3000)
}

for (const button of document.querySelectorAll('[data-copies]')) {
  const source = document.getElementById(button.dataset.copies)
  const said = button.nextElementSibling
  if (navigator.clipboard === undefined || source === null || said === null) continue
  button.hidden = false
  button.addEventListener('click', () => void copy({ source, said, words: button.dataset.copied }))
}
