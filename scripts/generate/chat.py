#!/usr/bin/env python3
"""Renders the chat templates of models/chat/testdata with transformers, for the test of our own rendering; see run.sh.

The templates are small ones with the constructs of those that Llama 3, Qwen, Gemma, Phi, Mistral and SmolLM have. Each renders several
conversations. A template that refuses one has its message. constructs.json lists single constructs that templates may use. Without --write the result is compared with what is stored.
"""

import argparse
import datetime
import json
import sys
from pathlib import Path

import transformers.utils.chat_template_utils as utils

TESTDATA = Path(__file__).resolve().parents[2] / "models/chat/testdata"
STORED = TESTDATA / "expected.json"
TODAY = datetime.datetime(2024, 7, 6, 9, 5, 3)
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
TOOL = {"type": "function", "function": {"name": "f", "description": "Gets <x> & \"y\".", "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}}}}

user = lambda text: {"role": "user", "content": text}
assistant = lambda text: {"role": "assistant", "content": text}
system = lambda text: {"role": "system", "content": text}

CONVERSATIONS = {
    "user": dict(messages=[user("Hello, who are you?")], add_generation_prompt=True),
    "user, closed": dict(messages=[user("Hello")], add_generation_prompt=False),
    "spaces and lines": dict(messages=[user("  \n two lines\nand {{ braces }} {% tags %}  \n")], add_generation_prompt=True),
    "unicode": dict(messages=[user("Ünïcode 😀 \u2028 日本")], add_generation_prompt=True),
    "empty": dict(messages=[user("")], add_generation_prompt=True),
    "system": dict(messages=[system(" Be brief. "), user("Why?")], add_generation_prompt=True),
    "three turns": dict(messages=[user("1"), assistant("<think>\nhm\n</think>\n\n one "), user("2")], add_generation_prompt=True),
    "ends with assistant": dict(messages=[user("1"), assistant("one")], add_generation_prompt=False),
    "two users": dict(messages=[user("1"), user("2")], add_generation_prompt=True),
    "tools": dict(messages=[user("call")], add_generation_prompt=True, tools=[TOOL]),
    "no thinking": dict(messages=[user("x")], add_generation_prompt=True, enable_thinking=False),
}


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return TODAY


def render(source, conversation):
    """Returns the text, or the message of an error."""
    try:
        more = {k: v for k, v in conversation.items() if k not in ("messages", "tools")}
        texts, _ = utils.render_jinja_template([conversation["messages"]], tools=conversation.get("tools"), chat_template=source, **TOKENS, **more)
        return {"text": texts[0]}
    except Exception as e:
        return {"error": str(e)}


def main():
    parser = argparse.ArgumentParser(description="Renderings of chat templates.")
    parser.add_argument("--write", action="store_true", help="store the renderings")
    write = parser.parse_args().write
    utils.datetime = Clock
    computed = {"conversations": CONVERSATIONS, "today": TODAY.isoformat(), "tokens": TOKENS, "templates": {
        path.stem: {name: render(path.read_text(), c) for name, c in CONVERSATIONS.items()} for path in sorted(TESTDATA.glob("*.jinja"))},
        "constructs": {source: render(source, CONVERSATIONS["three turns"]) for source in json.loads((TESTDATA / "constructs.json").read_text())}}
    if write:
        STORED.write_text(json.dumps(computed, indent=1, ensure_ascii=False) + "\n")
    same = STORED.exists() and json.loads(STORED.read_text()) == computed
    print(f"{'ok' if same else 'FAILED'}  {len(computed['templates'])} templates, {len(CONVERSATIONS)} conversations")
    sys.exit(not same)


if __name__ == "__main__":
    main()
