"""OpenAI's request as Anthropic's Messages API takes it."""

import json
from typing import Any

from models.llm.errors import ProviderError
from models.llm.protocol import ChatRequest

ANSWER = "give_the_answer"
"""The tool whose arguments are the answer, where a JSON schema is asked for."""

Json = dict[str, Any]


def translated(request: ChatRequest, *, model: str, max_tokens: int) -> Json:
    """The body of POST /v1/messages; `ProviderError("rejected")` where there is no way to say it."""
    try:
        return _body(request, model, max_tokens)
    except (AttributeError, KeyError, TypeError) as error:
        detail = f"the messages or tools are not in OpenAI's form: {error!r}"
        raise ProviderError("rejected", detail, status=400, quotes=True) from error


def _body(request: ChatRequest, model: str, max_tokens: int) -> Json:
    body: Json = {
        "model": model,
        "max_tokens": request.get("max_completion_tokens") or request.get("max_tokens") or max_tokens,
        "messages": _messages(request),
        "stream": True,
    }
    system = [_text(m) for m in request.get("messages", ()) if m["role"] in {"system", "developer"}]
    if any(system):
        body["system"] = "\n\n".join(filter(None, system))
    if request.get("temperature") is not None:
        body["temperature"] = min(1.0, request["temperature"])  # OpenAI's goes to 2
    if request.get("top_p") is not None:
        body["top_p"] = request["top_p"]
    stops = request.get("stop") or []
    if stops := [s for s in ([stops] if isinstance(stops, str) else stops) if s.strip()]:
        body["stop_sequences"] = stops  # one of white space alone is refused there
    return body | _tools(request)


def cut_space(request: ChatRequest) -> str:
    """The white space that an answer to go on with ends in: Anthropic refuses it, so it is not sent."""
    if not request.get("continue_final_message"):
        return ""
    said = _text(request["messages"][-1])
    return said[len(said.rstrip()) :]


def _messages(request: ChatRequest) -> list[Json]:
    """Neighbours of one role become one message: the results of several tools have to stand together."""
    messages: list[Json] = []
    for message in request.get("messages", ()):
        if message["role"] in {"system", "developer"}:
            continue
        role = "assistant" if message["role"] == "assistant" else "user"
        if blocks := _blocks(message):
            if messages and messages[-1]["role"] == role:
                messages[-1]["content"] += blocks
            else:
                messages.append({"role": role, "content": blocks})
    if request.get("continue_final_message"):
        last = messages[-1]["content"][-1]
        last["text"] = last["text"].rstrip()
    return messages


def _blocks(message: Json) -> list[Json]:
    if message["role"] == "tool":
        return [{"type": "tool_result", "tool_use_id": message["tool_call_id"], "content": _text(message)}]
    content = message.get("content") or []
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    blocks = [block for part in parts if (block := _block(part))]
    return blocks + [_tool_use(call) for call in message.get("tool_calls") or ()]


def _block(part: Json) -> Json | None:
    match part.get("type"):
        case "text":
            return {"type": "text", "text": part["text"]} if part["text"].strip() else None
        case "image_url":
            return {"type": "image", "source": _image(part["image_url"]["url"])}
    raise ProviderError("rejected", f"Anthropic takes text and images, not {part.get('type')!r}", status=400)


def _image(url: str) -> Json:
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    kind, _, data = url.removeprefix("data:").partition(";base64,")
    return {"type": "base64", "media_type": kind, "data": data}


def _tool_use(call: Json) -> Json:
    function = call["function"]
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except ValueError as error:
        detail = f"the arguments of the call {call.get('id')!r} are not JSON"
        raise ProviderError("rejected", detail, status=400, quotes=True) from error
    return {"type": "tool_use", "id": call["id"], "name": function["name"], "input": arguments}


def _text(message: Json) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


def _tools(request: ChatRequest) -> Json:
    tools = [_tool(tool["function"]) for tool in request.get("tools") or ()]
    choice = _choice(request.get("tool_choice"))
    if schema := _schema(request.get("response_format") or {}):
        choice = {"type": "any"} if tools else {"type": "tool", "name": ANSWER}
        tools.append({"name": ANSWER, "description": "Gives the answer.", "input_schema": schema})
    if not tools:
        return {}
    if request.get("parallel_tool_calls") is False:
        choice = choice or {"type": "auto"}
        choice |= {} if choice["type"] == "none" else {"disable_parallel_tool_use": True}
    return {"tools": tools, "tool_choice": choice} if choice else {"tools": tools}


def _tool(function: Json) -> Json:
    tool = {"name": function["name"], "input_schema": function.get("parameters") or {"type": "object"}}
    return tool | ({"description": function["description"]} if function.get("description") else {})


def _choice(choice: str | Json | None) -> Json | None:
    if isinstance(choice, dict):
        return {"type": "tool", "name": choice["function"]["name"]}
    return {"type": {"required": "any"}.get(choice, choice)} if choice else None


def _schema(form: Json) -> Json | None:
    match form.get("type"):
        case "json_schema":
            schema: Json = form["json_schema"].get("schema") or {"type": "object"}
            return schema
        case "json_object":
            return {"type": "object"}
    return None
