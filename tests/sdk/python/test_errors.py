"""What the SDK makes of failures, before and after an answer has begun."""

import unittest

import openai

from house import HOUSE

GOOD = "south/good"
HELLO = [{"role": "user", "content": "Hello"}]


class Errors(unittest.TestCase):
    def setUp(self):
        HOUSE.anew()
        self.client = HOUSE.client(max_retries=0)
        self.addCleanup(self.client.close)

    def chat(self, model, *others, client=None, **options):
        extra = {"models": list(others)} if others else None
        create = (client or self.client).chat.completions.create
        return create(model=model, extra_body=extra, messages=HELLO, **options)

    def fails(self, kind, status, code, model, *others):
        with self.assertRaises(kind) as raised:
            self.chat(model, *others)
        error = raised.exception
        self.assertIs(type(error), kind)
        self.assertEqual((error.status_code, error.code), (status, code))
        # The SDK's `body` is the error object.
        self.assertEqual(error.body["code"], code)
        self.assertTrue(error.body["message"])
        self.assertTrue(error.request_id)
        attempts = error.response.json()["attempts"]
        self.assertEqual([a["model"] for a in attempts], [model, *others])
        return error, attempts

    def test_a_bad_request(self):
        error, attempts = self.fails(
            openai.BadRequestError, 400, "unsupported_parameter", "north/bad"
        )
        self.assertEqual(error.param, "max_tokens")
        self.assertEqual(attempts[0]["outcome"], "rejected")
        self.assertEqual(attempts[0]["param"], "max_tokens")

    def test_a_prompt_that_is_too_long(self):
        self.fails(openai.BadRequestError, 400, "context_length_exceeded", "north/long")

    def test_a_prompt_that_is_refused(self):
        self.fails(openai.BadRequestError, 400, "content_policy_violation", "north/filtered")

    def test_a_model_that_the_provider_does_not_have(self):
        self.fails(openai.NotFoundError, 404, "model_not_found", "north/none")

    def test_a_rate_limit(self):
        error, attempts = self.fails(
            openai.RateLimitError, 429, "rate_limit_exceeded", "north/down", "north/full"
        )
        self.assertEqual([a["outcome"] for a in attempts], ["unavailable", "rate_limited"])
        self.assertEqual([a["status"] for a in attempts], [503, 429])
        self.assertEqual(error.response.headers["retry-after"], "3600")

    def test_an_internal_error(self):
        self.fails(openai.InternalServerError, 500, None, "north/full", "north/broken")

    def test_a_credential_that_the_provider_does_not_take(self):
        error, attempts = self.fails(openai.InternalServerError, 502, "upstream_auth", "north/denied")
        self.assertEqual((attempts[0]["outcome"], attempts[0]["status"]), ("auth", 401))
        self.assertNotIn("sk-mock", error.response.text)

    def test_nobody_there(self):
        self.fails(openai.InternalServerError, 502, "upstream_unavailable", "refused/m")

    def test_no_answer_in_time(self):
        self.fails(openai.InternalServerError, 504, "upstream_timeout", "north/silent")

    def test_the_walk_stands_in_the_headers_too(self):
        with self.assertRaises(openai.InternalServerError) as raised:
            self.chat("north/full", "north/down")
        headers = raised.exception.response.headers
        self.assertEqual(headers["x-standin-attempts"], "north/full=429, north/down=503")

    def test_what_standin_itself_refuses(self):
        with self.assertRaises(openai.BadRequestError) as raised:
            self.chat("m", *[f"m{n}" for n in range(20)])
        self.assertEqual(raised.exception.code, "too_many_candidates")
        self.assertEqual(raised.exception.param, "models")

    def test_models_that_are_not_known(self):
        with self.assertRaises(openai.NotFoundError) as raised:
            self.client.models.retrieve("south/none")
        self.assertEqual(raised.exception.code, "model_not_found")

    def test_a_path_that_is_not_known(self):
        with self.assertRaises(openai.NotFoundError):
            self.client.files.list()

    def test_the_client_s_own_timeout(self):
        before = HOUSE.cancelled("east")
        with self.assertRaises(openai.APITimeoutError):
            self.chat("east/silent", timeout=0.3)
        HOUSE.wait_cancelled("east", before + 1)

    def test_the_client_s_own_timeout_within_a_stream(self):
        before = HOUSE.cancelled("east")
        with self.assertRaises(openai.APITimeoutError):
            for _ in self.chat("east/endless", stream=True, timeout=0.3):
                pass
        HOUSE.wait_cancelled("east", before + 1)

    def test_a_plain_answer_that_breaks_off(self):
        with self.assertRaises(openai.APIConnectionError) as raised:
            self.chat("south/large")
        self.assertIs(type(raised.exception), openai.APIConnectionError)

    def test_leaving_a_stream_leaves_the_provider(self):
        before = HOUSE.cancelled("east")
        stream = self.chat("north/busy", "east/endless", stream=True)
        for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        stream.close()
        HOUSE.wait_cancelled("east", before + 1)

    def test_leaving_a_responses_stream_leaves_the_provider(self):
        before = HOUSE.cancelled("east")
        with self.client.responses.create(model="east/endless", input="Hi", stream=True) as stream:
            for event in stream:
                if event.type == "response.output_text.delta":
                    break
        HOUSE.wait_cancelled("east", before + 1)

    def breaks_off(self, stream, text):
        said = ""
        with self.assertRaises(openai.APIError) as raised:
            for event in stream:
                said += text(event) or ""
        self.assertTrue(said.startswith("one two "), said)
        self.assertEqual(raised.exception.code, "upstream_cut")
        self.assertEqual(raised.exception.type, "server_error")

    def test_a_chat_that_breaks_off_raises(self):
        stream = self.chat("north/torn", GOOD, stream=True)
        self.breaks_off(stream, lambda chunk: chunk.choices[0].delta.content)

    def test_a_completion_that_breaks_off_raises(self):
        stream = self.client.completions.create(model="north/torn", prompt="Hi", stream=True)
        self.breaks_off(stream, lambda chunk: chunk.choices[0].text)

    def test_a_response_that_breaks_off_raises(self):
        stream = self.client.responses.create(model="north/torn", input="Hi", stream=True)
        self.breaks_off(stream, lambda event: getattr(event, "delta", ""))


class Retries(unittest.TestCase):
    """The SDK's own retries, of which it makes two by default."""

    def setUp(self):
        HOUSE.anew()
        self.client = HOUSE.client()
        self.addCleanup(self.client.close)

    def attempts(self, kind, *models):
        before = [HOUSE.asked(model) for model in models]
        with self.assertRaises(kind) as raised:
            self.client.chat.completions.create(
                model=models[0], extra_body={"models": models[1:]}, messages=HELLO
            )
        after = [HOUSE.asked(model) for model in models]
        asked = [now - then for then, now in zip(before, after)]
        return asked, raised.exception.response.headers.get("x-should-retry")

    def test_an_exhausted_list_is_not_walked_again(self):
        asked = self.attempts(openai.InternalServerError, "north/full", "north/down", "north/broken")
        self.assertEqual(asked, ([1, 1, 1], "false"))

    def test_a_long_rate_limit_at_the_end_of_a_list_is_not_walked_again(self):
        asked = self.attempts(openai.RateLimitError, "north/down", "north/full")
        self.assertEqual(asked, ([1, 1], "false"))

    def test_one_model_alone_is_retried(self):
        asked = self.attempts(openai.InternalServerError, "north/down")
        self.assertEqual(asked, ([3], None))

    def test_short_rate_limits_are_retried(self):
        asked = self.attempts(openai.RateLimitError, "north/busy", "north/crowded")
        self.assertEqual(asked, ([3, 3], None))


if __name__ == "__main__":
    unittest.main()
