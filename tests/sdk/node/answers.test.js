// What the SDK makes of answers, on every endpoint.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { House } from './house.js';

const GOOD = 'south/good';
const TEXT = 'Hello from the south';
const WALKING = { model: 'north/busy', models: ['north/down', GOOD] };
const messages = [{ role: 'user', content: 'Hello' }];
const weather = {
  type: 'function',
  function: {
    name: 'weather',
    parameters: { type: 'object', properties: { city: { type: 'string' } } },
  },
};

let house;
let client;

// In a house of its own: nothing is remembered of what was asked before.
beforeEach(async () => {
  house = await House.start();
  client = house.client({ maxRetries: 0 });
});
afterEach(() => house?.end());

async function all(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}

function models(chunks) {
  return [...new Set(chunks.map((chunk) => chunk.model))];
}

function said(chunks) {
  return chunks.map((chunk) => chunk.choices[0].delta.content ?? '').join('');
}

test('chat', async () => {
  const answer = await client.chat.completions.create({ model: GOOD, messages });
  assert.equal(answer.model, GOOD);
  assert.equal(answer.choices[0].message.content, TEXT);
  assert.equal(answer.choices[0].finish_reason, 'stop');
  assert.equal(answer.usage.prompt_tokens, 12);
});

test('chat, streamed', async () => {
  const chunks = await all(
    await client.chat.completions.create({ model: GOOD, messages, stream: true }),
  );
  assert.equal(said(chunks), TEXT);
  assert.deepEqual(models(chunks), [GOOD]);
  assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop');
  assert.ok(chunks.every((chunk) => !('usage' in chunk)), 'nobody asked for usage');
});

test('chat, streamed with usage', async () => {
  const chunks = await all(
    await client.chat.completions.create({
      model: GOOD,
      messages,
      stream: true,
      stream_options: { include_usage: true },
    }),
  );
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.equal(chunks.at(-1).usage.total_tokens, 16);
  assert.deepEqual(models(chunks), [GOOD]);
});

test('the stream helper', async () => {
  const final = await client.chat.completions.stream({ model: GOOD, messages }).finalChatCompletion();
  assert.equal(final.model, GOOD);
  assert.equal(final.choices[0].message.content, TEXT);
});

test('the third of a list answers', async () => {
  const answer = await client.chat.completions.create({ ...WALKING, messages });
  assert.equal(answer.model, GOOD);
  assert.equal(answer.choices[0].message.content, TEXT);
});

test('the third of a list streams', async () => {
  const chunks = await all(
    await client.chat.completions.create({ ...WALKING, messages, stream: true }),
  );
  assert.deepEqual(models(chunks), [GOOD]);
  assert.equal(said(chunks), TEXT);
});

test('a silent model falls over in a stream', async () => {
  const chunks = await all(
    await client.chat.completions.create({
      model: 'north/stalled',
      models: [GOOD],
      messages,
      stream: true,
    }),
  );
  assert.deepEqual(models(chunks), [GOOD]);
});

test('a configured fallback answers', async () => {
  const answer = await client.chat.completions.create({ model: 'north/busy', messages });
  assert.equal(answer.model, GOOD);
});

test('the headers tell who answered', async () => {
  const { data, response, request_id } = await client.chat.completions
    .create({ ...WALKING, messages }, { headers: { 'x-request-id': 'sdk-7' } })
    .withResponse();
  assert.equal(data.model, GOOD);
  assert.equal(data._request_id, 'sdk-7');
  assert.equal(request_id, 'sdk-7');
  assert.equal(response.headers.get('x-request-id'), 'sdk-7');
  assert.equal(response.headers.get('x-standin-model'), GOOD);
  assert.equal(response.headers.get('x-standin-provider'), 'south');
  assert.equal(
    response.headers.get('x-standin-attempts'),
    'north/busy=429, north/down=503, south/good=200',
  );
});

test("the client's key and list stay here", async () => {
  await client.chat.completions.create({ ...WALKING, messages, seed: 7 });
  const seen = await house.last('south');
  assert.equal(new Map(seen.headers).get('authorization'), 'Bearer sk-mock-south');
  assert.equal(seen.target, '/v1/chat/completions');
  assert.deepEqual(seen.body, { model: 'good', messages, seed: 7 });
});

test('tool calls', async () => {
  const answer = await client.chat.completions.create({
    model: 'south/tools',
    messages,
    tools: [weather],
  });
  assert.equal(answer.model, 'south/tools');
  assert.equal(answer.choices[0].finish_reason, 'tool_calls');
  assert.deepEqual(
    answer.choices[0].message.tool_calls.map((call) => call.function.arguments),
    ['{"city":"Paris"}', '{"city":"Rome"}'],
  );
  assert.deepEqual((await house.last('south')).body.tools, [weather]);
});

test('tool calls, streamed', async () => {
  const stream = client.chat.completions.stream({
    model: 'north/down',
    models: ['south/tools'],
    messages,
    tools: [weather],
  });
  for await (const chunk of stream) assert.equal(chunk.model, 'south/tools');
  const final = await stream.finalChatCompletion();
  assert.deepEqual(
    final.choices[0].message.tool_calls.map(({ id, function: { name, arguments: text } }) => [
      id,
      name,
      text,
    ]),
    [
      ['call_0', 'weather', '{"city":"Paris"}'],
      ['call_1', 'weather', '{"city":"Rome"}'],
    ],
  );
});

test('JSON mode', async () => {
  const answer = await client.chat.completions.create({
    model: 'south/json',
    messages,
    response_format: { type: 'json_object' },
  });
  assert.deepEqual(JSON.parse(answer.choices[0].message.content), { city: 'Paris' });
  assert.deepEqual((await house.last('south')).body.response_format, { type: 'json_object' });
});

test('an image', async () => {
  const url = `data:image/png;base64,${'iVBORw0KGgo+/A=='.repeat(20_000)}`;
  const messages = [
    {
      role: 'user',
      content: [
        { type: 'text', text: 'What is this?' },
        { type: 'image_url', image_url: { url } },
      ],
    },
  ];
  const answer = await client.chat.completions.create({ ...WALKING, messages });
  assert.equal(answer.model, GOOD);
  assert.deepEqual((await house.last('south')).body.messages, messages);
});

test('embeddings', async () => {
  const answer = await client.embeddings.create({
    ...WALKING,
    input: 'Hello',
    encoding_format: 'float',
  });
  assert.equal(answer.model, GOOD);
  assert.deepEqual(answer.data[0].embedding, [0.0023, -0.0093, 0.0157, -0.0042]);
});

test('completions', async () => {
  const answer = await client.completions.create({ ...WALKING, prompt: 'Hello' });
  assert.deepEqual([answer.model, answer.choices[0].text], [GOOD, TEXT]);
});

test('completions, streamed', async () => {
  const chunks = await all(
    await client.completions.create({ ...WALKING, prompt: 'Hello', stream: true }),
  );
  assert.deepEqual(models(chunks), [GOOD]);
  assert.equal(chunks.map((chunk) => chunk.choices[0].text).join(''), TEXT);
});

test('responses', async () => {
  const answer = await client.responses.create({ ...WALKING, input: 'Hello' });
  assert.deepEqual([answer.model, answer.output_text], [GOOD, TEXT]);
  assert.equal(answer.status, 'completed');
});

test('responses, streamed', async () => {
  const events = await all(
    await client.responses.create({ ...WALKING, input: 'Hello', stream: true }),
  );
  const answers = events.filter((event) => event.response);
  assert.deepEqual([...new Set(answers.map((event) => event.response.model))], [GOOD]);
  assert.equal(
    events
      .filter((event) => event.type === 'response.output_text.delta')
      .map((event) => event.delta)
      .join(''),
    TEXT,
  );
  assert.equal(events.at(-1).type, 'response.completed');
  assert.deepEqual(
    events.map((event) => event.sequence_number),
    events.map((_, number) => number),
  );
});

test('the responses stream helper', async () => {
  const final = await client.responses.stream({ model: GOOD, input: 'Hello' }).finalResponse();
  assert.deepEqual([final.model, final.output_text], [GOOD, TEXT]);
});

test('models are listed and found', async () => {
  const listed = (await all(await client.models.list())).map((model) => model.id);
  assert.ok(listed.includes(GOOD), listed);
  const found = await client.models.retrieve(GOOD);
  assert.deepEqual([found.id, found.object, found.owned_by], [GOOD, 'model', 'south']);
});
