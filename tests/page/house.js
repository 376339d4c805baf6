// A running `standin serve` in front of a provider whose moods the tests set.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const usage = { prompt_tokens: 1834, completion_tokens: 412, total_tokens: 2246 };

// Answers each model as `moods` says: 'fine', 'busy' (429), 'down' (503).
export class Provider {
  moods = new Map();
  wait = () => 0;

  async start() {
    this.server = createServer((request, response) => {
      let text = '';
      request.on('data', (piece) => (text += piece));
      request.on('end', () => this.answer(JSON.parse(text), response));
    });
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.url = `http://127.0.0.1:${this.server.address().port}/v1`;
    return this;
  }

  async answer(asked, response) {
    const mood = this.moods.get(asked.model) ?? 'fine';
    if (mood !== 'fine') {
      const busy = mood === 'busy';
      const headers = { 'content-type': 'application/json' };
      if (busy) headers['retry-after'] = String(this.retryAfter ?? 20);
      response.writeHead(busy ? 429 : 503, headers);
      response.end(JSON.stringify({ error: { message: 'no', type: 'error', code: busy ? 'rate_limit_exceeded' : 'down' } }));
      return;
    }
    await new Promise((done) => setTimeout(done, this.wait(asked.model)));
    const quota = {
      'x-ratelimit-remaining-requests': '4821', 'x-ratelimit-reset-requests': '42s',
      'x-ratelimit-remaining-tokens': '1480000', 'x-ratelimit-reset-tokens': '31s',
    };
    if (!asked.stream) {
      response.writeHead(200, { 'content-type': 'application/json', ...quota });
      const message = { role: 'assistant', content: 'Hello' };
      response.end(JSON.stringify({ id: 'c', object: 'chat.completion', model: asked.model, choices: [{ index: 0, message, finish_reason: 'stop' }], usage }));
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream', ...quota });
    const event = (choices, more) => response.write(`data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', model: asked.model, choices, ...more })}\n\n`);
    event([{ index: 0, delta: { role: 'assistant', content: 'Hello' }, finish_reason: null }]);
    event([{ index: 0, delta: {}, finish_reason: 'stop' }]);
    event([], { usage });
    response.end('data: [DONE]\n\n');
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

export class House {
  static async start(yaml, admin = '127.0.0.1:0', listen = '127.0.0.1:0') {
    const { STANDIN } = process.env;
    if (!STANDIN) throw new Error('STANDIN names the binary');
    const house = new House();
    house.folder = await mkdtemp(join(tmpdir(), 'standin-page-'));
    house.file = join(house.folder, 'standin.yaml');
    house.ports = { admin, listen };
    await house.write(yaml);
    await house.run(STANDIN);
    return house;
  }

  write(yaml) {
    const { admin, listen } = this.ports;
    return writeFile(this.file, `listen: ${listen}\nadmin: ${admin}\nlog: { format: text }\n${yaml}`);
  }

  async run(binary = process.env.STANDIN) {
    this.process = spawn(binary, ['serve', '-c', this.file], { stdio: ['ignore', 'ignore', 'pipe'], env: {} });
    const found = {};
    this.log = [];
    for await (const line of createInterface({ input: this.process.stderr })) {
      this.log.push(line);
      const match = /(listening|admin) on (\S+)/.exec(line);
      if (match) found[match[1]] = `http://${match[2]}`;
      if (found.listening && found.admin) break;
    }
    if (!found.admin) throw new Error(`standin has not started:\n${this.log.join('\n')}`);
    this.process.stderr.resume();
    this.proxy = found.listening;
    this.admin = found.admin;
  }

  async ask(models, more = {}, headers = {}) {
    const [model, ...rest] = models;
    const answer = await fetch(`${this.proxy}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ model, models: rest.length ? rest : undefined, messages: [{ role: 'user', content: 'planted-prompt' }], ...more }),
    });
    await answer.text();
    return answer;
  }

  async reload(yaml) {
    await this.write(yaml);
    const answer = await fetch(`${this.admin}/-/reload`, { method: 'POST' });
    if (!answer.ok) throw new Error(await answer.text());
  }

  async stop() {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill('SIGTERM');
      await once(this.process, 'exit');
    }
  }

  async end() {
    await this.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}
