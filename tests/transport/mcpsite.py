"""A folder with data and a policy, and real `proxyplane mcp` processes that the official client speaks to."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

ROOT = Path(__file__).parents[2]
SALES = "region,amount,ssn\nnorth,10,1-1\nsouth,20,2-2\nnorth,30,3-3\n"
POLICY = """
schema = 1
default = "deny"
[objects.sales]
hide = ["ssn"]
[modules]
host = ["pandas"]
guest = "stdlib"
[[rules]]
id = "work"
agent = "analyst"
object = "*"
effect = ["read", "compute", "reveal", "callback", "display", "mutate"]
decide = "allow"
[[rules]]
id = "changes"
effect = ["mutate"]
decide = "ask"
reason = "changes are for a person to allow"
ask = { timeout = "60s" }
[[rules]]
id = "private-name"
object = "nothing_here"
effect = ["reveal"]
decide = "deny"
"""


@dataclass
class Site:
    """A folder with data and a policy, and processes that serve them."""

    folder: Path

    def arguments(self, *more: str) -> list[str]:
        """Of the process."""
        given = ["--object", f"sales={self.folder / 'sales.csv'}", "--policy", str(self.folder / "policy.toml")]
        given += ["--audit", str(self.folder / "audit"), "--agent", "analyst"]
        return ["-m", "proxyplane", "mcp", *given, *more]

    @property
    def environment(self) -> dict[str, str]:
        """Of the process: its sockets are where this test looks for them."""
        return {"PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(self.folder / "run")}

    @asynccontextmanager
    async def client(self, *more: str, **options: Any) -> AsyncIterator[Client]:
        """The official client of a process of its own."""
        parameters = StdioServerParameters(
            command=sys.executable, args=self.arguments(*more), env=self.environment, cwd=str(self.folder)
        )
        with open(self.folder / "errors.txt", "w", encoding="utf-8") as errors:
            async with Client(stdio_client(parameters, errlog=errors), **options) as client:
                yield client

    def use(self, work: Callable[[Client], Awaitable[Any]], *more: str, **options: Any) -> Any:
        """Do something with a client, and give what came of it."""

        async def main() -> Any:
            async with self.client(*more, **options) as client:
                return await work(client)

        return asyncio.run(main())

    @property
    def errors(self) -> str:
        """What the process said to people."""
        return (self.folder / "errors.txt").read_text(encoding="utf-8")

    def records(self) -> list[dict[str, Any]]:
        """The log, as the command line reads it."""
        command = [sys.executable, "-m", "proxyplane", "audit", "query", str(self.folder / "audit"), "--json"]
        environment = {**os.environ, **self.environment}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]


def made(folder: Path) -> Site:
    """A folder to serve."""
    (folder / "sales.csv").write_text(SALES, encoding="utf-8")
    (folder / "policy.toml").write_text(POLICY, encoding="utf-8")
    (folder / "run").mkdir(mode=0o700)
    return Site(folder)


def text_of(result: Any) -> str:
    """The text that a model reads."""
    return "\n".join(part.text for part in result.content if part.type == "text")


async def run(client: Client, code: str, **more: Any) -> Any:
    """Run code."""
    return await client.call_tool("execute_code", {"code": code, **more})
