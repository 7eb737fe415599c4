"""The plane over the Model Context Protocol (the official SDK, `mcp`). Decode, take it down the road, encode.

    server   tools and resources, for the SDK       tools    what each tool does
    answers  results and refusals as MCP has them   errands  work that outlasts its call: tickets
    stdio    standard streams that nobody else has     mounted  the same in the HTTP server

The interface is described in `docs/mcp.md`.
"""
