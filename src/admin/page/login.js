// Trades the token for a session cookie that no script can read.
const form = document.getElementById('form');
const token = document.getElementById('token');
const why = document.getElementById('why');

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  why.textContent = '';
  const button = form.querySelector('button');
  button.disabled = true;
  let said;
  try {
    const answer = await fetch('/-/login', { method: 'POST', body: token.value });
    if (answer.ok) {
      location.reload();
      return;
    }
    said = answer.status === 429
      ? 'Too many wrong tokens come in at the same time. Try again in a moment.'
      : 'That is not the token.';
  } catch {
    said = 'Standin does not answer.';
  }
  button.disabled = false;
  why.textContent = said;
  token.select();
});
