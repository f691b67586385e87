"""Azure OpenAI: the deployment in the URL, the version in the query, the key in a header of its own."""

from models.llm.openai_compatible import azure
from tests.integration.upstream import TOKENS, Upstream, served


async def test_azure_s_address_and_key() -> None:
    upstream = Upstream()
    async with served(upstream) as url:
        client = azure("azure", base_url=f"{url}/", api_key="k", deployment="desk-mini", connect_timeout_s=1)
        assert "".join([c.text async for c in client.stream({"model": "m", "messages": []})]) == "".join(
            TOKENS
        )
        await client.close()
    assert upstream.paths == ["/openai/deployments/desk-mini/chat/completions?api-version=2024-10-21"]
    assert upstream.headers[0]["api-key"] == "k"
    assert "Authorization" not in upstream.headers[0]
