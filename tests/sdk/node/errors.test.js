// What the SDK makes of failures, before and after an answer has begun.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import {
  APIConnectionTimeoutError,
  APIError,
  APIUserAbortError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
} from 'openai';
import { House } from './house.js';

const GOOD = 'south/good';
const messages = [{ role: 'user', content: 'Hello' }];

let house;
let client;

// In a house of its own: nothing is remembered of what was asked before.
beforeEach(async () => {
  house = await House.start();
  client = house.client({ maxRetries: 0 });
});
afterEach(() => house?.end());

// The error that this must end with.
async function error(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  assert.fail('it did not fail');
}

function chat(models, more, options, by = client) {
  const [model, ...rest] = models;
  const list = rest.length > 0 ? { models: rest } : {};
  return by.chat.completions.create({ model, ...list, messages, ...more }, options);
}

async function fails(kind, status, code, walk, ...models) {
  const failed = await error(chat(models));
  assert.equal(failed.constructor, kind);
  assert.equal(failed.status, status);
  assert.equal(failed.code, code);
  // What the SDK keeps of the body is its error object.
  assert.equal(failed.error.code, code);
  assert.ok(failed.error.message);
  assert.ok(failed.requestID);
  assert.equal(failed.headers.get('x-standin-attempts'), walk);
  return failed;
}

test('a bad request', async () => {
  const code = 'unsupported_parameter';
  const failed = await fails(BadRequestError, 400, code, 'north/bad=400', 'north/bad');
  assert.equal(failed.param, 'max_tokens');
});

test('a model that the provider does not have', () =>
  fails(NotFoundError, 404, 'model_not_found', 'north/none=404', 'north/none'));

test('a rate limit', async () => {
  const walk = 'north/down=503, north/full=429';
  const code = 'rate_limit_exceeded';
  const failed = await fails(RateLimitError, 429, code, walk, 'north/down', 'north/full');
  assert.equal(failed.headers.get('retry-after'), '3600');
});

test('an internal error', () => {
  const walk = 'north/full=429, north/broken=500';
  return fails(InternalServerError, 500, null, walk, 'north/full', 'north/broken');
});

test('a credential that the provider does not take', () =>
  fails(InternalServerError, 502, 'upstream_auth', 'north/denied=401', 'north/denied'));

test('nobody there', () =>
  fails(InternalServerError, 502, 'upstream_unavailable', 'refused/m=connect', 'refused/m'));

test('no answer in time', () =>
  fails(InternalServerError, 504, 'upstream_timeout', 'north/silent=timeout', 'north/silent'));

test("the error's body tells of all attempts", async () => {
  // The SDK drops what stands beside the error object, so it is read raw.
  let body;
  const raw = house.client({
    maxRetries: 0,
    fetch: async (...request) => {
      const response = await fetch(...request);
      body = await response.clone().json();
      return response;
    },
  });
  await error(chat(['north/full', 'north/down'], {}, {}, raw));
  assert.deepEqual(
    body.attempts.map(({ model, provider, outcome, status }) => [model, provider, outcome, status]),
    [
      ['north/full', 'north', 'rate_limited', 429],
      ['north/down', 'north', 'unavailable', 503],
    ],
  );
});

test('models that are not known', async () => {
  const failed = await error(client.models.retrieve('south/none'));
  assert.equal(failed.constructor, NotFoundError);
  assert.equal(failed.code, 'model_not_found');
});

test("the client's own timeout", async () => {
  const { cancelled } = await house.counts('east');
  const failed = await error(chat(['east/silent'], {}, { timeout: 300 }));
  assert.equal(failed.constructor, APIConnectionTimeoutError);
  await house.waitCancelled('east', cancelled + 1);
});

test('an aborted request', async () => {
  const { cancelled, seen } = await house.counts('east');
  const abort = new AbortController();
  const failing = error(chat(['east/silent'], {}, { signal: abort.signal }));
  await house.waitSeen('east', seen + 1);
  abort.abort();
  assert.equal((await failing).constructor, APIUserAbortError);
  await house.waitCancelled('east', cancelled + 1);
});

test('a plain answer that breaks off', async () => {
  // The SDK gives fetch's own error for a body that does not come.
  const failed = await error(chat(['south/large']));
  assert.equal(failed.message, 'terminated');
});

test('leaving a stream leaves the provider', async () => {
  const { cancelled } = await house.counts('east');
  const stream = await chat(['north/busy', 'east/endless'], { stream: true });
  for await (const chunk of stream) if (chunk.choices[0].delta.content) break;
  await house.waitCancelled('east', cancelled + 1);
});

test('aborting a stream leaves the provider', async () => {
  const { cancelled } = await house.counts('east');
  const stream = await client.responses.create({
    model: 'east/endless',
    input: 'Hello',
    stream: true,
  });
  for await (const event of stream) {
    if (event.type === 'response.output_text.delta') stream.controller.abort();
  }
  await house.waitCancelled('east', cancelled + 1);
});

async function breaksOff(stream, text) {
  let said = '';
  const reading = async () => {
    for await (const event of stream) said += text(event) ?? '';
  };
  const failed = await error(reading());
  assert.match(said, /^one two /);
  assert.ok(failed instanceof APIError);
  assert.equal(failed.code, 'upstream_cut');
  assert.equal(failed.type, 'server_error');
}

test('a chat that breaks off raises', async () => {
  const stream = await chat(['north/torn', GOOD], { stream: true });
  await breaksOff(stream, (chunk) => chunk.choices[0].delta.content);
});

test('a completion that breaks off raises', async () => {
  const stream = await client.completions.create({
    model: 'north/torn',
    prompt: 'Hello',
    stream: true,
  });
  await breaksOff(stream, (chunk) => chunk.choices[0].text);
});

test('a response that breaks off raises', async () => {
  const stream = await client.responses.create({
    model: 'north/torn',
    input: 'Hello',
    stream: true,
  });
  await breaksOff(stream, (event) => event.delta);
});

// The SDK's own retries, of which it makes two by default.
async function retried(expected, header, ...models) {
  const asked = () => models.reduce(
    async (list, model) => [...(await list), await house.asked(model)],
    Promise.resolve([]),
  );
  const before = await asked();
  const failed = await error(chat(models, {}, {}, house.client()));
  assert.equal(failed.headers.get('x-should-retry'), header);
  const after = await asked();
  assert.deepEqual(
    after.map((count, at) => count - before[at]),
    expected,
  );
}

test('an exhausted list is not walked again', () =>
  retried([1, 1, 1], 'false', 'north/full', 'north/down', 'north/broken'));

test('a long rate limit at the end of a list is not walked again', () =>
  retried([1, 1], 'false', 'north/down', 'north/full'));

test('one model alone is retried', () => retried([3], null, 'north/down'));

test('short rate limits are retried', () =>
  retried([3, 3], null, 'north/busy', 'north/crowded'));
