"""The vendors' own code, as a judge: first of our receivers (do the official clients take them for the real thing?), then of the bytes
that Bursar sends. Called by the tests with a subcommand; anything wrong ends it with an error."""
import base64
import json
import sys


def slack_client(url):
    """The official client is content with the receiver."""
    from slack_sdk.webhook import WebhookClient

    response = WebhookClient(url).send(text="hello", blocks=[{"type": "header", "text": {"type": "plain_text", "text": "hello"}}])
    assert response.status_code == 200 and response.body == "ok", (response.status_code, response.body)


def slack_client_limited(url):
    """It takes our 429 for Slack's: with its handler it waits as told and succeeds."""
    from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler
    from slack_sdk.webhook import WebhookClient

    response = WebhookClient(url, retry_handlers=[RateLimitErrorRetryHandler(max_retry_count=1)]).send(text="hello")
    assert response.status_code == 200, response.status_code


def pagerduty_client(url):
    """The official client triggers and resolves at the receiver (https only, its certificate in SSL_CERT_FILE)."""
    from pagerduty import EventsApiV2Client

    client = EventsApiV2Client("0123456789abcdef0123456789abcdef", base_url=url)
    key = client.trigger("summary", "source", dedup_key="key", severity="error")
    assert key == "key", key
    client.resolve("key")


def pagerduty(_):
    """PagerDuty's schema of events, with the bounds that its documentation adds to it; and the judge itself can complain."""
    import os

    from jsonschema import Draft202012Validator

    with open(os.path.join(os.path.dirname(__file__), "pagerduty_event.json"), encoding="utf-8") as file:
        validator = Draft202012Validator(json.load(file))
    events = json.load(sys.stdin)
    for event in events:
        validator.validate(event)
        assert len(json.dumps(event, ensure_ascii=False).encode()) <= 512_000, "larger than PagerDuty takes"
    good = events[0]
    for wrong in (
        {**good, "event_action": "close"}, {**good, "dedup_key": "x" * 256}, {"routing_key": good["routing_key"], "event_action": "resolve"},
        {**good, "payload": {**good["payload"], "severity": "fatal"}}, {**good, "payload": {**good["payload"], "summary": "x" * 1025}},
    ):
        assert not validator.is_valid(wrong), wrong


def slack(_):
    """Block Kit as slack_sdk models it; what it does not look into, the Swift test does."""
    from slack_sdk.models.blocks import Block

    message = json.load(sys.stdin)
    assert set(message) <= {"text", "blocks", "unfurl_links", "unfurl_media"}, message.keys()
    for block in message["blocks"]:
        parsed = Block.parse(block)
        assert parsed is not None, block
        parsed.validate_json()


def webhook(secret):
    """Both verifiers accept the request, and neither accepts it when a byte of it is another."""
    from standardwebhooks.webhooks import Webhook, WebhookVerificationError
    from svix.webhooks import Webhook as SvixWebhook
    from svix.webhooks import WebhookVerificationError as SvixError

    request = json.load(sys.stdin)
    headers, body = request["headers"], base64.b64decode(request["body"])
    for make, error in ((Webhook, WebhookVerificationError), (SvixWebhook, SvixError)):
        make(secret).verify(body.decode(), headers)
        for changed in (body[:-1] + b" ", body + b" "):
            try:
                make(secret).verify(changed.decode(), headers)
            except error:
                continue
            raise AssertionError("a changed body was accepted")


def sample(path):
    """The Python sample of docs/webhooks.md, run as it stands there."""
    request = json.load(sys.stdin)
    space = {}
    exec(compile(open(path, encoding="utf-8").read().split("```python\n")[1].split("```")[0], path, "exec"), space)
    headers, body, secret = request["headers"], base64.b64decode(request["body"]), request["secret"]
    assert space["verify"](headers, body, secret) == headers["webhook-id"]
    for wrong in ({"body": body + b" "}, {"secret": "whsec_" + base64.b64encode(b"x" * 32).decode()}, {"now": 0}):
        try:
            space["verify"](**{"headers": headers, "body": body, "secret": secret, **wrong})
        except ValueError:
            continue
        raise AssertionError(f"accepted with {list(wrong)}")


if __name__ == "__main__":
    globals()[sys.argv[1].replace("-", "_")](sys.argv[2] if len(sys.argv) > 2 else None)
