
// Shows what `/-/live` tells. Names are whatever clients make up: they become
// text and nothing else, here and in attributes.

const find = (id) => document.getElementById(id);
const STATES = ['open', 'cooling', 'probing', 'healthy'];
const WALKS = 50;
// The server says something every five seconds at least.
const SILENCE = 13000;
const SVG = 'http://www.w3.org/2000/svg';

function make(tag, name, text) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
}

function draw(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

// Touches the document only where something is different.
function say(node, text) {
  if (node.said !== text) {
    node.said = text;
    node.textContent = text;
  }
}

function dress(node, name) {
  if (node.className !== name) node.className = name;
}

const whole = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const number = (n) => (n < 100000 ? whole : short).format(n);

function span(ms) {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

function brief(ms) {
  if (ms < 1000) return `${ms} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(ms < 10000 ? 2 : 1)} s`;
  return span(ms);
}

// Never rounded up: 99.999 % is not all of them.
function share(part, all) {
  if (all === 0) return '–';
  const percent = (100 * part) / all;
  if (percent === 0 || percent === 100) return `${percent} %`;
  return `${(Math.floor(percent * 100) / 100).toFixed(percent < 10 || percent > 99 ? 2 : 1)} %`;
}

const plural = (n, one, many) => `${whole.format(n)} ${n === 1 ? one : many}`;
const words = (label) => label.replaceAll('_', ' ');

// The server's clock never jumps: its zero on ours.
let zero = 0;
const now = () => performance.now() - zero;
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const date = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });

function wall(moment) {
  const at = new Date(Date.now() - (now() - moment));
  return Date.now() - at < 43200000 ? clock.format(at) : date.format(at);
}

// --- targets

const rows = new Map();
const waiting = new Set();
let wanted = '';
let only = null;
let order = 'state';
const body = find('rows');

class Row {
  constructor(id) {
    this.id = id;
    this.node = make('tr');
    this.node.setAttribute('role', 'row');
    const cell = (tag, name, label) => {
      const node = make(tag, name);
      node.setAttribute('role', tag === 'th' ? 'rowheader' : 'cell');
      if (tag === 'th') node.scope = 'row';
      if (label) node.dataset.label = label;
      this.node.append(node);
      return node;
    };
    const into = (node, name, tag = 'span') => node.appendChild(make(tag, name));
    const title = cell('th');
    this.name = into(title, 'name', 'bdi');
    this.at = into(title, 'under');
    const state = cell('td', 'state');
    this.word = into(state, 'word');
    this.why = into(state, 'why');
    this.since = into(state, 'under');
    this.until = into(state, 'until');
    this.since.append(this.ago = make('span'), this.until);
    this.ends = into(state, 'under');
    this.answered = cell('td', 'n', 'Answered');
    this.failed = cell('td', 'n', 'Failed');
    this.over = cell('td', 'n', 'Failovers from / to');
    this.first = into(cell('td', 'first-cell', 'First token'), 'first', 'div');
    this.plot = draw('svg', { viewBox: '0 0 110 26', role: 'img' });
    this.line = this.plot.appendChild(draw('polyline', { points: '' }));
    this.end = this.plot.appendChild(draw('circle', { r: 2.2 }));
    this.median = make('span');
    this.first.append(this.plot, this.median);
    this.left = cell('td', 'n left', 'Quota left');
    this.requests = into(this.left, 'quota', 'div');
    this.tokens = into(this.left, 'quota', 'div');
    for (const quota of [this.requests, this.tokens]) quota.append(make('b'), make('span'));
  }

  show(told) {
    const before = this.told;
    this.told = told;
    const title = told.names.length ? told.names.join(', ') : told.id;
    this.title = title;
    this.words = `${title} ${told.id} ${told.state} ${told.why ?? ''}`.toLowerCase();
    say(this.name, title);
    this.name.title = title;
    // Most names say it already.
    say(this.at, title === told.id ? '' : `${told.provider} · ${told.model}`);
    say(this.word, told.state);
    dress(this.word, `word ${told.state}`);
    const status = told.last?.status;
    const why = told.why ? words(told.why) + (status && told.by === 'target' ? ` (${status})` : '') : '';
    const whose = told.by && told.by !== 'target' && told.by !== 'quota' ? `${told.by}: ` : '';
    say(this.why, whose + why);
    const ends = told.endpoints.map((e) => `/${e.name} ${e.state}`).join(', ');
    say(this.ends, ends);
    for (const [node, n] of [[this.answered, told.answered], [this.failed, told.failed]]) {
      say(node, number(n));
      dress(node, n ? 'n' : 'n zero');
    }
    say(this.over, `${number(told.from)} / ${number(told.to)}`);
    dress(this.over, told.from + told.to ? 'n' : 'n zero');
    this.sketch(told.firsts);
    dress(this.left, told.requests || told.tokens ? 'n left' : 'n left zero');
    if (told.until !== null || told.requests || told.tokens || told.state !== 'healthy') waiting.add(this);
    else waiting.delete(this);
    this.tick();
    const changed = before && before.state !== told.state;
    if (changed) {
      this.node.classList.remove('flash');
      void this.node.offsetWidth;
      this.node.classList.add('flash');
      announce(this);
    }
    return !before || changed;
  }

  sketch(firsts) {
    const key = firsts.join();
    if (this.drawn === key) return;
    this.drawn = key;
    this.plot.toggleAttribute('hidden', firsts.length < 2);
    if (!firsts.length) {
      this.typical = -1;
      say(this.median, '–');
      dress(this.median, 'zero');
      return;
    }
    const sorted = [...firsts].sort((a, b) => a - b);
    this.typical = sorted[Math.floor(sorted.length / 2)];
    say(this.median, brief(this.typical));
    dress(this.median, '');
    const top = Math.max(...firsts, 1);
    const x = (i) => (firsts.length < 2 ? 0 : (i * 106) / (firsts.length - 1) + 2);
    const y = (ms) => 24 - (22 * ms) / top;
    this.line.setAttribute('points', firsts.map((ms, i) => `${x(i).toFixed(1)},${y(ms).toFixed(1)}`).join(' '));
    this.end.setAttribute('cx', x(firsts.length - 1));
    this.end.setAttribute('cy', y(firsts.at(-1)));
    this.plot.setAttribute('aria-label',
      `latest ${plural(firsts.length, 'stream', 'streams')}: median ${brief(this.typical)}, ` +
      `lowest ${brief(sorted[0])}, highest ${brief(top)}, last ${brief(firsts.at(-1))}`);
  }

  tick() {
    const { told } = this;
    const at = now();
    if (told.state === 'healthy') {
      say(this.ago, told.since ? `since ${wall(told.since)}` : 'since the start');
      say(this.until, '');
    } else {
      const since = told.by === 'target' && told.since ? `for ${span(Math.max(0, at - told.since))}` : '';
      say(this.ago, since);
      const what = told.by === 'quota' ? 'quota back' : 'next probe';
      const rest = told.until === null ? null : told.until - at;
      const due = told.by === 'quota' ? 'quota back now' : 'probe due with the next request';
      const until = rest === null || told.state === 'probing' ? '' : rest > 0 ? `${what} in ${span(rest)}` : due;
      say(this.until, (since && until ? ', ' : '') + until);
    }
    for (const [node, left, what] of [[this.requests, told.requests, 'requests'], [this.tokens, told.tokens, 'tokens']]) {
      const rest = left ? left[1] - at : 0;
      const has = left && rest > 0;
      say(node.firstChild, has ? number(left[0]) : '');
      say(node.lastChild, has ? ` ${what} · ${span(rest)}` : '');
    }
    if (!this.requests.firstChild.said && !this.tokens.firstChild.said) dress(this.left, 'n left zero');
  }

  get isWanted() {
    return (!only || this.told.state === only) && wanted.split(/\s+/).every((w) => this.words.includes(w));
  }
}

const orders = {
  state: (a, b) => STATES.indexOf(a.told.state) - STATES.indexOf(b.told.state) || orders.name(a, b),
  name: (a, b) => (a.title < b.title ? -1 : a.title > b.title ? 1 : 0),
  answered: (a, b) => b.told.answered - a.told.answered || orders.name(a, b),
  failed: (a, b) => b.told.failed - a.told.failed || orders.name(a, b),
  first: (a, b) => b.typical - a.typical || orders.name(a, b),
};

// Moves only the rows that stand wrong.
function arrange() {
  const sorted = [...rows.values()].sort(orders[order]);
  let next = body.firstChild;
  for (const row of sorted) {
    if (row.node === next) next = next.nextSibling;
    else body.insertBefore(row.node, next);
  }
  sift();
}

function sift() {
  let shown = 0;
  for (const row of rows.values()) {
    const hide = !row.isWanted;
    if (row.node.hidden !== hide) row.node.hidden = hide;
    if (!hide) shown += 1;
  }
  say(find('shown'), shown === rows.size ? whole.format(shown) : `${whole.format(shown)} of ${whole.format(rows.size)}`);
  const none = find('no-rows');
  none.hidden = shown > 0;
  say(none, rows.size ? 'No target fits the filter.' : 'No target yet: none is configured, and no request has named one.');
}

const chips = new Map();
for (const state of [null, ...STATES]) {
  const chip = make('button');
  chip.type = 'button';
  chip.addEventListener('click', () => {
    only = only === state ? null : state;
    count();
    sift();
  });
  chips.set(state, chip);
  find('chips').append(chip);
}

function count() {
  const sums = new Map(STATES.map((state) => [state, 0]));
  for (const row of rows.values()) sums.set(row.told.state, (sums.get(row.told.state) ?? 0) + 1);
  for (const [state, chip] of chips) {
    say(chip, state ? `${state} ${whole.format(sums.get(state))}` : `all ${whole.format(rows.size)}`);
    chip.setAttribute('aria-pressed', String(state === only));
  }
  const bad = rows.size - sums.get('healthy');
  const all = rows.size;
  say(find('verdict'), !all ? 'No targets yet'
    : !bad ? (all === 1 ? 'The one target is healthy' : `All ${whole.format(all)} targets are healthy`)
      : `${whole.format(bad)} of ${plural(all, 'target', 'targets')} ${bad === 1 ? 'is' : 'are'} not healthy`);
  const parts = STATES.filter((state) => state !== 'healthy' && sums.get(state)).map((state) => `${sums.get(state)} ${state}`);
  say(find('lead'), [parts.join(', '), trouble].filter(Boolean).join(' · '));
  unhealthy = bad;
  entitle();
}

let trouble = '';
let unhealthy = 0;
let isLive = false;

function entitle() {
  const title = !isLive ? 'Not connected: Standin' : unhealthy ? `(${unhealthy}) Standin` : 'Standin: all healthy';
  if (document.title !== title) document.title = title;
}

// What has changed, read out at most every five seconds, and not at length.
let changes = new Map();
let reading = null;
function announce(row) {
  changes.set(row.id, row);
  reading ??= setTimeout(() => {
    reading = null;
    const all = [...changes.values()];
    changes = new Map();
    const one = (r) => `${r.title} is ${r.told.state}${r.told.why ? `, ${words(r.told.why)}` : ''}`;
    find('said').textContent = all.length > 3 ? `${all.length} targets have changed their state` : all.map(one).join('. ');
  }, find('said').textContent ? 5000 : 300);
}

// --- providers, and the whole

function providers(list) {
  find('providers').hidden = !list.length;
  const lines = list.map((told) => {
    const line = make('li');
    line.append(make('span', 'name', told.name));
    for (const kind of ['connection', 'credential']) {
      const word = told[kind];
      if (word.state === 'healthy') continue;
      line.append(make('span', '', kind), make('span', `word ${word.state}`, word.state));
      const until = make('span', 'until');
      until.until = word.state === 'probing' ? null : word.until;
      line.append(until);
    }
    const last = told.last;
    const why = last ? `${words(last.outcome)}${last.status ? ` (${last.status})` : ''} at ${wall(last.at)}` : '';
    line.append(make('span', 'small', why));
    return line;
  });
  find('provider-list').replaceChildren(...lines);
  tickProviders();
}

function tickProviders() {
  for (const node of find('provider-list').querySelectorAll('.until')) {
    const rest = (node.until ?? 0) - now();
    say(node, node.until === null ? '' : rest > 0 ? `next probe in ${span(rest)}` : 'probe due with the next request');
  }
}

function sum(told) {
  say(find('in-flight'), number(told.in_flight));
  const rate = told.per_second;
  say(find('per-second'), rate && rate < 10 ? rate.toFixed(1) : number(Math.round(rate)));
  const ended = told.answered + told.failed + told.cut;
  say(find('answered'), share(told.answered, ended));
  say(find('answered-of'), ended ? `${number(told.answered)} of ${number(ended)}` : '');
  say(find('over'), share(told.failed_over, ended));
  say(find('over-of'), ended ? `${number(told.failed_over)} by another model` : '');
  say(find('failed'), number(told.failed + told.cut));
  const parts = [told.failed && `${number(told.failed)} failed`, told.cut && `${number(told.cut)} cut off`, told.gone && `${number(told.gone)} left by clients`];
  say(find('failed-of'), parts.filter(Boolean).join(', '));
  trouble = told.recorded ? '' : 'the ledger cannot be written, and requests are refused';
  bars(told.bars);
}

function bars(list) {
  const plot = find('bars');
  const top = Math.max(...list, 1);
  const wide = 240 / list.length;
  while (plot.childElementCount < list.length) {
    plot.append(draw('rect', { x: (plot.childElementCount * wide).toFixed(2), width: (wide * 0.72).toFixed(2) }));
  }
  list.forEach((n, i) => {
    const high = n ? Math.max(1, (31 * n) / top) : 0.5;
    const bar = plot.children[i];
    if (bar.n === high) return;
    bar.n = high;
    bar.setAttribute('y', (32 - high).toFixed(2));
    bar.setAttribute('height', high.toFixed(2));
  });
  const all = list.reduce((a, b) => a + b, 0);
  plot.setAttribute('aria-label', `${number(all)} requests in the last five minutes, at most ${number(top)} in five seconds`);
}

// --- walks

let paused = false;
let held = [];
const list = find('walks');

function step(told, attempt) {
  const kind = told.outcome === 'answered' || told.outcome === 'skipped' ? told.outcome : 'failed';
  const node = make('li', `step ${kind}`);
  const name = make('bdi', 'name', told.model);
  name.title = told.provider ? `${told.model} at ${told.provider}` : told.model;
  if (kind === 'skipped') {
    node.append('skipped', name, `(${words(told.reason)})`);
    return node;
  }
  if (kind === 'answered') node.append('answered', name);
  else node.append(nth(attempt), name);
  if (told.status) node.append(make('b', '', String(told.status)));
  if (kind === 'failed') node.append(words(told.outcome));
  if (told.last_resort) node.append('as last resort');
  if (told.drill) node.append('as a drill');
  if (told.ms !== null) node.append(make('span', '', `· ${brief(told.ms)}`));
  return node;
}

// "attempt 1" to be heard, 1 to be seen.
function nth(attempt) {
  const node = make('span', 'nth');
  node.append(make('span', 'hidden', 'attempt '), String(attempt));
  return node;
}

function walk(told) {
  const node = make('li', 'walk');
  node.number = told.number;
  const time = make('time', '', wall(told.at));
  time.title = told.id;
  const steps = make('ol', 'steps');
  let attempt = 0;
  told.steps.forEach((one, i) => {
    if (i) {
      const arrow = make('li', 'arrow', '→');
      arrow.setAttribute('aria-hidden', 'true');
      steps.append(arrow);
    }
    if (told.left_out && i === told.steps.length - 1) steps.append(make('li', 'arrow', `${told.left_out} more →`));
    if (one.outcome !== 'skipped') attempt += 1;
    steps.append(step(one, attempt));
  });
  const sums = make('p', 'sums');
  const fact = (text, name) => sums.append(make('span', name ?? '', text));
  if (told.end !== 'answered') fact(words(told.end) + (told.status ? ` ${told.status}` : ''), `ended-${told.end}`);
  const took = make('span');
  took.append(make('b', '', brief(told.took)));
  sums.append(took);
  if (told.streamed && told.first !== null) fact(`first token ${brief(told.first)}`);
  if (told.tokens) fact(`${told.estimated ? 'about ' : ''}${number(told.tokens[0])} + ${number(told.tokens[1])} tokens`);
  if (told.cost !== null) fact(`$${told.cost < 0.01 ? told.cost.toPrecision(2) : told.cost.toFixed(4)}`);
  if (told.key) fact(`key ${told.key}`);
  if (told.endpoint !== 'chat/completions') fact(told.endpoint);
  node.append(time, steps, sums);
  return node;
}

function walks(told) {
  if (paused) {
    held = held.concat(told).slice(-WALKS);
    say(find('pause'), `Go on (${held.length}${held.length === WALKS ? '+' : ''} new)`);
    return;
  }
  for (const one of told) {
    // Some come a little late.
    let before = list.firstChild;
    while (before && before.number > one.number) before = before.nextSibling;
    list.insertBefore(walk(one), before);
  }
  while (list.childElementCount > WALKS) list.lastChild.remove();
  find('no-walks').hidden = list.childElementCount > 0;
}

find('pause').addEventListener('click', () => {
  paused = !paused;
  find('pause').setAttribute('aria-pressed', String(paused));
  say(find('pause'), paused ? 'Go on' : 'Pause');
  if (!paused) {
    walks(held);
    held = [];
  }
});

// --- what is told

let arranged = 0;

function take(told, isAll) {
  zero = performance.now() - told.now;
  if (told.version) say(find('version'), told.version);
  if (told.sum) sum(told.sum);
  let moved = isAll;
  if (isAll) {
    const ids = new Set(told.targets.map((t) => t.id));
    for (const id of rows.keys()) if (!ids.has(id)) leave(id);
    list.replaceChildren();
    held = [];
  }
  for (const id of told.gone ?? []) {
    leave(id);
    moved = true;
  }
  for (const target of told.targets ?? []) {
    let row = rows.get(target.id);
    if (!row) {
      row = new Row(target.id);
      rows.set(target.id, row);
    }
    moved = row.show(target) || moved;
  }
  const byNumber = order !== 'state' && order !== 'name' && performance.now() - arranged > 3000;
  if (moved || byNumber) {
    arranged = performance.now();
    arrange();
  }
  if (told.walks) walks(told.walks);
  if (told.providers) providers(told.providers);
  count();
}

function leave(id) {
  const row = rows.get(id);
  waiting.delete(row);
  row?.node.remove();
  rows.delete(id);
}

// --- the connection

let source;
let heard = 0;
let lostAt = null;
let again = null;

function live(event, isAll) {
  heard = performance.now();
  isLive = true;
  lostAt = null;
  find('lost').hidden = true;
  document.body.classList.remove('stale');
  dress(find('link'), 'link live');
  say(find('link-word'), 'live');
  take(JSON.parse(event.data), isAll);
  entitle();
}

function lost(why) {
  lostAt ??= new Date();
  if (isLive || find('lost').hidden) {
    isLive = false;
    say(find('lost'), `${why} What is shown is from ${clock.format(lostAt)}. Trying again…`);
    find('lost').hidden = false;
    document.body.classList.add('stale');
    dress(find('link'), 'link');
    say(find('link-word'), 'not connected');
    entitle();
  }
}

async function retry() {
  again = null;
  try {
    const answer = await fetch('/', { method: 'HEAD', cache: 'no-store' });
    // The session has ended: the same address asks for the token.
    if (answer.status === 401) location.reload();
  } catch {
    // Nobody answers yet; the stream says so, too.
  }
  connect();
}

function later(why) {
  source.close();
  lost(why);
  again ??= setTimeout(retry, 2000);
}

function connect() {
  heard = performance.now();
  source = new EventSource('/-/live');
  source.addEventListener('full', (event) => live(event, true));
  source.addEventListener('more', (event) => live(event, false));
  source.addEventListener('bye', () => later('Standin has ended this stream.'));
  source.onerror = () => later('The connection to Standin is lost.');
}

setInterval(() => {
  if (again === null && performance.now() - heard > SILENCE) later('Standin has fallen silent.');
  if (!isLive) return;
  for (const row of waiting) row.tick();
  tickProviders();
}, 500);

find('filter').addEventListener('input', (event) => {
  wanted = event.target.value.trim().toLowerCase();
  sift();
});
find('filter').addEventListener('keydown', (event) => {
  if (event.key === 'Escape') {
    event.target.value = '';
    wanted = '';
    sift();
  }
});
find('sort').addEventListener('change', (event) => {
  order = event.target.value;
  arrange();
});
count();
sift();
connect();
