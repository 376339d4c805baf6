"""What the SDK makes of answers, on every endpoint."""

import unittest

from house import HOUSE

GOOD = "south/good"
TEXT = "Hello from the south"
LIST = ["north/busy", "north/down", GOOD]
WALK = "north/busy=429, north/down=503, south/good=200"
HELLO = [{"role": "user", "content": "Hello"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def walking():
    """The list as a client writes it: the first in `model`, all in `models`."""
    return {"model": LIST[0], "extra_body": {"models": LIST[1:]}}


class Answers(unittest.TestCase):
    def setUp(self):
        HOUSE.anew()
        self.client = HOUSE.client(max_retries=0)
        self.addCleanup(self.client.close)

    def test_chat(self):
        answer = self.client.chat.completions.create(model=GOOD, messages=HELLO)
        self.assertEqual(answer.model, GOOD)
        self.assertEqual(answer.choices[0].message.content, TEXT)
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.usage.prompt_tokens, 12)

    def test_chat_streamed(self):
        chunks = list(self.client.chat.completions.create(model=GOOD, messages=HELLO, stream=True))
        self.assertEqual("".join(c.choices[0].delta.content or "" for c in chunks), TEXT)
        self.assertEqual({c.model for c in chunks}, {GOOD})
        self.assertEqual(chunks[-1].choices[0].finish_reason, "stop")
        self.assertEqual([c for c in chunks if c.usage], [], "nobody asked for usage")

    def test_chat_streamed_with_usage(self):
        chunks = list(
            self.client.chat.completions.create(
                model=GOOD, messages=HELLO, stream=True, stream_options={"include_usage": True}
            )
        )
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(chunks[-1].usage.total_tokens, 16)
        self.assertEqual({c.model for c in chunks}, {GOOD})

    def test_the_stream_helper(self):
        with self.client.chat.completions.stream(model=GOOD, messages=HELLO) as stream:
            final = stream.get_final_completion()
        self.assertEqual(final.model, GOOD)
        self.assertEqual(final.choices[0].message.content, TEXT)

    def test_the_third_of_a_list_answers(self):
        answer = self.client.chat.completions.create(messages=HELLO, **walking())
        self.assertEqual(answer.model, GOOD)
        self.assertEqual(answer.choices[0].message.content, TEXT)

    def test_the_third_of_a_list_streams(self):
        stream = self.client.chat.completions.create(messages=HELLO, stream=True, **walking())
        chunks = list(stream)
        self.assertEqual({c.model for c in chunks}, {GOOD})
        self.assertEqual("".join(c.choices[0].delta.content or "" for c in chunks), TEXT)

    def test_a_silent_model_falls_over_in_a_stream(self):
        stream = self.client.chat.completions.create(
            model="north/stalled", extra_body={"models": [GOOD]}, messages=HELLO, stream=True
        )
        self.assertEqual({c.model for c in stream}, {GOOD})

    def test_a_configured_fallback_answers(self):
        answer = self.client.chat.completions.create(model="north/busy", messages=HELLO)
        self.assertEqual(answer.model, GOOD)

    def test_a_model_with_two_homes_keeps_its_name(self):
        answer = self.client.chat.completions.create(model="house/served", messages=HELLO)
        self.assertEqual(answer.model, "house/served")

    def test_raw_headers_tell_who_answered(self):
        raw = self.client.chat.completions.with_raw_response.create(
            messages=HELLO, extra_headers={"x-request-id": "sdk-7"}, **walking()
        )
        self.assertEqual(raw.headers["x-standin-model"], GOOD)
        self.assertEqual(raw.headers["x-standin-provider"], "south")
        self.assertEqual(raw.headers["x-standin-upstream-model"], "good")
        self.assertEqual(raw.headers["x-standin-attempts"], WALK)
        self.assertEqual(raw.headers["x-request-id"], "sdk-7")
        self.assertEqual(raw.request_id, "sdk-7")
        answer = raw.parse()
        self.assertEqual(answer.model, GOOD)
        self.assertEqual(answer._request_id, "sdk-7")

    def test_a_request_id_is_made_where_none_is_sent(self):
        first = self.client.chat.completions.create(model=GOOD, messages=HELLO)._request_id
        second = self.client.chat.completions.create(model=GOOD, messages=HELLO)._request_id
        self.assertTrue(first)
        self.assertNotEqual(first, second)

    def test_the_client_s_key_and_list_stay_here(self):
        self.client.chat.completions.create(messages=HELLO, seed=7, **walking())
        seen = HOUSE.last("south")
        headers = dict(seen["headers"])
        self.assertEqual(headers["authorization"], "Bearer sk-mock-south")
        self.assertEqual(seen["target"], "/v1/chat/completions")
        self.assertEqual(seen["body"], {"model": "good", "messages": HELLO, "seed": 7})

    def test_tool_calls(self):
        answer = self.client.chat.completions.create(
            model="south/tools", messages=HELLO, tools=[WEATHER], tool_choice="auto"
        )
        calls = answer.choices[0].message.tool_calls
        self.assertEqual([c.function.arguments for c in calls], ['{"city":"Paris"}', '{"city":"Rome"}'])
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
        self.assertEqual(answer.model, "south/tools")
        self.assertEqual(HOUSE.last("south")["body"]["tools"], [WEATHER])

    def test_tool_calls_streamed(self):
        stream = self.client.chat.completions.create(
            model="north/down",
            extra_body={"models": ["south/tools"]},
            messages=HELLO,
            tools=[WEATHER],
            stream=True,
        )
        calls = {}
        for chunk in stream:
            self.assertEqual(chunk.model, "south/tools")
            for call in chunk.choices[0].delta.tool_calls or []:
                name, arguments = calls.get(call.index, ("", ""))
                calls[call.index] = (
                    name + (call.function.name or ""),
                    arguments + (call.function.arguments or ""),
                )
        self.assertEqual(calls, {0: ("weather", '{"city":"Paris"}'), 1: ("weather", '{"city":"Rome"}')})

    def test_the_answer_to_a_tool_call_goes_up_as_written(self):
        messages = [
            *HELLO,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_0",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city":"Paris"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call_0", "content": "21 °C, sonnig"},
        ]
        self.client.chat.completions.create(model=GOOD, messages=messages, tools=[WEATHER])
        self.assertEqual(HOUSE.last("south")["body"]["messages"], messages)

    def test_json_mode(self):
        answer = self.client.chat.completions.create(
            model="south/json", messages=HELLO, response_format={"type": "json_object"}
        )
        self.assertEqual(answer.choices[0].message.content, '{"city": "Paris"}')
        self.assertEqual(HOUSE.last("south")["body"]["response_format"], {"type": "json_object"})

    def test_an_answer_parsed_into_a_class(self):
        from pydantic import BaseModel

        class Place(BaseModel):
            city: str

        answer = self.client.chat.completions.parse(
            model="north/down", extra_body={"models": ["south/json"]}, messages=HELLO, response_format=Place
        )
        self.assertEqual(answer.choices[0].message.parsed, Place(city="Paris"))

    def test_an_image(self):
        picture = "data:image/png;base64," + "iVBORw0KGgo+/A==" * 20_000
        messages = [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": picture}},
                ],
            }
        ]
        answer = self.client.chat.completions.create(messages=messages, **walking())
        self.assertEqual(answer.model, GOOD)
        self.assertEqual(HOUSE.last("south")["body"]["messages"], messages)

    def test_embeddings(self):
        answer = self.client.embeddings.create(input="Hello", encoding_format="float", **walking())
        self.assertEqual(answer.model, GOOD)
        self.assertEqual(answer.data[0].embedding, [0.0023, -0.0093, 0.0157, -0.0042])

    def test_completions(self):
        answer = self.client.completions.create(prompt="Hello", **walking())
        self.assertEqual((answer.model, answer.choices[0].text), (GOOD, TEXT))

    def test_completions_streamed(self):
        chunks = list(self.client.completions.create(prompt="Hello", stream=True, **walking()))
        self.assertEqual({c.model for c in chunks}, {GOOD})
        self.assertEqual("".join(c.choices[0].text for c in chunks), TEXT)

    def test_responses(self):
        answer = self.client.responses.create(input="Hello", **walking())
        self.assertEqual((answer.model, answer.output_text), (GOOD, TEXT))
        self.assertEqual(answer.status, "completed")

    def test_responses_streamed(self):
        events = list(self.client.responses.create(input="Hello", stream=True, **walking()))
        self.assertEqual({e.response.model for e in events if hasattr(e, "response")}, {GOOD})
        deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
        self.assertEqual("".join(deltas), TEXT)
        self.assertEqual(events[-1].type, "response.completed")
        self.assertEqual([e.sequence_number for e in events], list(range(len(events))))

    def test_the_responses_stream_helper(self):
        with self.client.responses.stream(model=GOOD, input="Hello") as stream:
            final = stream.get_final_response()
        self.assertEqual((final.model, final.output_text), (GOOD, TEXT))

    def test_models_are_listed_and_found(self):
        listed = [model.id for model in self.client.models.list()]
        self.assertIn(GOOD, listed)
        found = self.client.models.retrieve(GOOD)
        self.assertEqual((found.id, found.object, found.owned_by), (GOOD, "model", "south"))


if __name__ == "__main__":
    unittest.main()
