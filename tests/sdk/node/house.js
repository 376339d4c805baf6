// The running `standin` and the scripted providers behind it.
//
// One child process holds both and ends with its standard input, so nothing
// is left behind however the tests end. It answers questions about the
// providers, one line of JSON for each.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import OpenAI from 'openai';

export class House {
  static async start() {
    const { LOAD_TESTS, STANDIN } = process.env;
    if (!LOAD_TESTS || !STANDIN) throw new Error('LOAD_TESTS and STANDIN name the binaries');
    const house = new House();
    house.process = spawn(LOAD_TESTS, ['mock', '--script', 'sdk', '--standin', STANDIN], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    house.lines = createInterface({ input: house.process.stdout })[Symbol.asyncIterator]();
    house.baseURL = (await house.line()).standin.base_url;
    return house;
  }

  async line() {
    const { value, done } = await this.lines.next();
    if (done) throw new Error('the mock process has ended');
    return JSON.parse(value);
  }

  async ask(...words) {
    this.process.stdin.write(`${words.join(' ')}\n`);
    const answer = await this.line();
    if (answer?.error) throw new Error(answer.error);
    return answer;
  }

  // How often the provider was asked for this model.
  async asked(model) {
    return (await this.ask('asked', ...model.split('/'))).asked;
  }

  // The last request that this provider was sent.
  last(provider) {
    return this.ask('last', provider);
  }

  // What this provider has counted: requests `seen`, answers `cancelled` by
  // their reader.
  counts(provider) {
    return this.ask('counts', provider);
  }

  // Returns when it has seen so many requests.
  waitSeen(provider, requests) {
    return this.ask('seen', provider, requests);
  }

  // Returns when so many of its answers were left.
  waitCancelled(provider, answers) {
    return this.ask('cancelled', provider, answers);
  }

  client(options) {
    return new OpenAI({ baseURL: this.baseURL, apiKey: 'sk-client', ...options });
  }

  async end() {
    this.process.stdin.end();
    if (this.process.exitCode === null) await once(this.process, 'exit');
  }
}
