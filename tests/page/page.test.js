import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { launch, open } from './browser.js';
import { House, Provider } from './house.js';

const HOSTILE = '<img src=x onerror="document.title=\'owned\';alert(1)">';

const config = (url, more = '') => `providers:
  openai: { base_url: "${url}", api_key: sk-planted-key }
  google: { base_url: "${url}", api_key: sk-planted-key }
  gone: { base_url: "http://127.0.0.1:9/v1", api_key: sk-planted-key }
health: { failures: 1, cooldown: 2s, max_cooldown: 4s }
models:
  openai/gpt-4o: { price: { input: 2.5, output: 10 } }
  openai/o1: { provider: openai, upstream_model: o1 }
  google/gemini-2.5-pro: { price: { input: 1.25, output: 10 } }
  gone/model: { provider: gone, upstream_model: model }
${more}`;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

describe('the page', () => {
  let provider, house, shown, page;
  beforeEach(async () => {
    provider = await new Provider().start();
    house = await House.start(config(provider.url));
    shown = await open(browser, house.admin);
    page = shown.page;
    await page.waitForSelector('.link.live');
  });
  afterEach(async () => {
    await shown.close();
    await house.end();
    provider.stop();
  });

  const row = (name) => page.locator('tbody tr', { hasText: name });
  const nothingWrong = async () => {
    assert.deepEqual(shown.wrong, []);
    assert.deepEqual(await page.evaluate(() => window.violations), []);
  };

  test('a state changes, counts down and recovers before the eyes', async () => {
    assert.equal(await page.title(), 'Standin: all healthy');
    assert.equal(await page.locator('h1').textContent(), 'All 4 targets are healthy');
    const loaded = await page.evaluate(() => performance.timeOrigin);
    provider.moods.set('gpt-4o', 'busy');
    provider.retryAfter = 6;
    const answer = await house.ask(['openai/gpt-4o', 'google/gemini-2.5-pro'], { stream: true });
    assert.equal(answer.status, 200);
    const target = row('openai/gpt-4o');
    await target.locator('.word', { hasText: 'cooling' }).waitFor();
    assert.match(await target.locator('.why').textContent(), /rate limited \(429\)/);
    assert.equal(await page.title(), '(1) Standin');
    assert.equal(await page.locator('h1').textContent(), '1 of 4 targets is not healthy');
    assert.equal(await page.locator('tbody tr').first().locator('.name').textContent(), 'openai/gpt-4o', 'trouble comes first');
    await page.waitForFunction(() => /openai\/gpt-4o is cooling/.test(document.getElementById('said').textContent));

    const left = async () => Number(/next probe in (\d+) s/.exec(await target.locator('.until').textContent())?.[1]);
    const first = await left();
    assert.ok(first >= 3 && first <= 8, `${first}`);
    await page.waitForFunction((n) => {
      const text = document.querySelector('tbody tr .until').textContent;
      return Number(/in (\d+) s/.exec(text)?.[1]) < n;
    }, first);

    const steps = page.locator('.walk').first().locator('.step');
    assert.match(await steps.nth(0).textContent(), /attempt 1openai\/gpt-4o429rate limited· \d+ ms/);
    assert.match(await steps.nth(1).textContent(), /answeredgoogle\/gemini-2.5-pro200· \d+ ms/);
    const sums = await page.locator('.walk').first().locator('.sums').textContent();
    assert.match(sums, /first token \d+ ms.*1,834 \+ 412 tokens.*\$0\.00/);

    provider.moods.clear();
    await target.locator('.until', { hasText: 'probe due' }).waitFor();
    await house.ask(['openai/gpt-4o']);
    await target.locator('.word', { hasText: 'healthy' }).waitFor();
    assert.equal(await page.title(), 'Standin: all healthy');
    assert.equal(await page.evaluate(() => performance.timeOrigin), loaded, 'the page was not loaded again');
    await nothingWrong();
  });

  test('a drill is shown as one and is nobody\'s failure', async () => {
    await house.reload(config(provider.url, 'drills: true\n'));
    const drill = { 'x-standin-fail': 'openai/gpt-4o=503' };
    const answer = await house.ask(['openai/gpt-4o', 'openai/o1'], {}, drill);
    assert.equal(answer.headers.get('x-standin-attempts'), 'openai/gpt-4o=drill:503, openai/o1=200');
    const steps = page.locator('.walk').first().locator('.step');
    assert.match(await steps.nth(0).textContent(), /attempt 1openai\/gpt-4o503unavailableas a drill· 0 ms/);
    assert.doesNotMatch(await steps.nth(1).textContent(), /drill/);
    assert.equal(await page.locator('h1').textContent(), 'All 4 targets are healthy');
    await nothingWrong();
  });

  test('a provider that cannot be reached is told of by itself', async () => {
    await house.ask(['gone/model', 'openai/o1']);
    const line = page.locator('#providers li');
    await line.waitFor();
    assert.match(await line.textContent(), /goneconnectionopen.*connect/);
    assert.match(await row('gone/model').locator('.why').textContent(), /connection: connect/);
    const skipped = await house.ask(['gone/model', 'openai/o1']);
    assert.equal(skipped.status, 200);
    const step = page.locator('.walk').first().locator('.step.skipped');
    await step.waitFor();
    assert.equal(await step.textContent(), 'skippedgone/model(open)');
    await nothingWrong();
  });

  test('the filter works by keyboard', async () => {
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the targets');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'filter');
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.equal(outline, 'solid', 'focus can be seen');
    await page.keyboard.type('GPT');
    const visible = page.locator('tbody tr:visible');
    await page.waitForFunction(() => document.getElementById('shown').textContent === '1 of 4');
    assert.equal(await visible.count(), 1);
    await page.keyboard.press('Escape');
    assert.equal(await visible.count(), 4);
    await page.keyboard.type('open healthy');
    assert.equal(await visible.count(), 2);
    await page.keyboard.press('Escape');
    // all, open
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Space');
    assert.equal(await visible.count(), 0);
    assert.equal(await page.locator('#no-rows').textContent(), 'No target fits the filter.');
    assert.equal(await page.locator('#chips [aria-pressed=true]').textContent(), 'open 0');
    await page.keyboard.press('Space');
    assert.equal(await visible.count(), 4);
    await nothingWrong();
  });

  test('a hostile name is only a name', async () => {
    await house.ask([HOSTILE, `openai/${HOSTILE}`, 'openai/o1']);
    await house.ask(['\u202egnp.exe', 'google/"><script>alert(2)</script>']);
    await page.waitForFunction(() => document.querySelectorAll('.walk').length === 2);
    const first = page.locator('.walk').last().locator('.step').first().locator('.name');
    assert.equal(await first.textContent(), HOSTILE);
    await row(HOSTILE).waitFor();
    assert.equal(await page.locator('main img, main script, main [onerror]').count(), 0);
    assert.equal(await page.title(), 'Standin: all healthy');
    const text = await page.content();
    for (const secret of ['sk-planted-key', 'planted-prompt']) assert.ok(!text.includes(secret), secret);
    await nothingWrong();
  });

  test('a reload of the configuration shows its new targets', async () => {
    await house.reload(config(provider.url, '  house/new: { provider: openai, upstream_model: new }\n'));
    await row('house/new').waitFor();
    assert.equal(await page.locator('h1').textContent(), 'All 5 targets are healthy');
    await house.reload(config(provider.url));
    await row('house/new').waitFor({ state: 'detached' });
    await nothingWrong();
  });

  test('walks stand still while they are paused', async () => {
    await house.ask(['openai/o1']);
    await page.locator('.walk').waitFor();
    await page.getByRole('button', { name: 'Pause' }).click();
    await house.ask(['openai/o1']);
    const button = page.getByRole('button', { name: 'Go on (1 new)' });
    await button.waitFor();
    assert.equal(await page.locator('.walk').count(), 1);
    await button.click();
    assert.equal(await page.locator('.walk').count(), 2);
    await nothingWrong();
  });

  test('a lost connection is said, and comes back by itself', async () => {
    const [admin, listen] = [house.admin, house.proxy].map((url) => url.slice('http://'.length));
    await house.stop();
    await page.locator('#lost').waitFor();
    assert.match(await page.locator('#lost').textContent(), /Trying again/);
    assert.equal(await page.title(), 'Not connected: Standin');
    house.ports = { admin, listen };
    await house.write(config(provider.url));
    await house.run();
    await page.locator('#lost').waitFor({ state: 'hidden' });
    assert.equal(await page.title(), 'Standin: all healthy');
    // That nobody answered for a while stands in the console, and nothing else.
    assert.deepEqual(shown.wrong.filter((line) => !/net::ERR_|Failed to load resource/.test(line)), []);
  });

  test('it fits a phone, and says the same to a screen reader', async () => {
    await house.ask(['openai/gpt-4o', 'openai/o1'], { stream: true });
    await page.setViewportSize({ width: 390, height: 844 });
    await page.waitForFunction(() => document.documentElement.scrollWidth <= 390);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      // WCAG 2.1's contrast of every text with what it stands on.
      const poor = await page.evaluate(contrasts);
      assert.deepEqual(poor, [], colorScheme);
    }
    assert.equal(await page.getByRole('table', { name: /Targets/ }).count(), 1);
    assert.equal(await page.getByRole('columnheader').count(), 7);
    assert.equal(await page.getByRole('rowheader').count(), 4);
    assert.ok((await page.getByRole('img', { name: /requests in the last five minutes/ }).count()) === 1);
    await nothingWrong();
  });
});

// Texts that stand out by less than 4.5 to 1.
function contrasts() {
  const parse = (color) => (color.match(/[\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const poor = new Set();
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!own || !node.checkVisibility()) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(behind(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.add(`${node.className || node.tagName}: ${ratio.toFixed(2)}`);
  }
  return [...poor];
}

test('a thousand targets stay usable', async () => {
  const provider = await new Provider().start();
  let models = '';
  for (let i = 0; i < 1000; i += 1) models += `  house/model-${i}: { provider: openai, upstream_model: m${i} }\n`;
  const house = await House.start(config(provider.url, models));
  const { page, wrong, close } = await open(browser, house.admin);
  try {
    await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 1004);
    const busy = [];
    for (let i = 0; i < 300; i += 1) busy.push(house.ask([`house/model-${i}`]));
    await Promise.all(busy);
    await page.selectOption('#sort', 'answered');
    await page.waitForFunction(() => [...document.querySelectorAll('tbody tr')].slice(0, 300).every((tr) => tr.children[2].textContent === '1'));
    await page.fill('#filter', 'model-99');
    await page.waitForFunction(() => document.getElementById('shown').textContent === '11 of 1,004');
    assert.deepEqual(wrong, []);
  } finally {
    await close();
    await house.end();
    provider.stop();
  }
});

test('a browser signs in with the token', async () => {
  const provider = await new Provider().start();
  const house = await House.start(config(provider.url).concat('admin_token: t0ken-of-the-house\n'));
  const { page, wrong, close } = await open(browser, house.admin);
  try {
    await page.getByLabel('Admin token').fill('wrong');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').filter({ hasText: 'That is not the token.' }).waitFor();
    await page.getByLabel('Admin token').fill('t0ken-of-the-house');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.waitForSelector('.link.live');
    assert.equal(await page.locator('h1').textContent(), 'All 4 targets are healthy');
    assert.equal(await page.evaluate(() => document.cookie), '', 'no script can read the session');
    // Another token ends it: the page asks again.
    await house.write(config(provider.url).concat('admin_token: another-token\n'));
    house.process.kill('SIGHUP');
    await page.getByLabel('Admin token').waitFor();
    // The browser notes each 401 itself.
    assert.deepEqual(wrong.filter((line) => !/status of 401/.test(line)), []);
  } finally {
    await close();
    await house.end();
    provider.stop();
  }
});
