"""The plane over HTTP. Decode, take it down the road, encode: nothing is decided here but who asks.

    app        the application           api      /v1                dropin    what notebook agents speak
    guard      host, origin, token       tokens   who may ask        roster    sessions, limits, expiry
    work       operations and looks      running  runs as streams    effects   the log, by the process `logreader`
    values     values in JSON            media    JSON and msgpack   problems  errors as answers
    models     what bodies hold          openapi  the description    notebook  cells as a re-runnable file
    serving    a server on a socket

The interface is described in `docs/http.md`.
"""
