"""In-process proxies: the road of operations without a guest, for trusted code, tests and migration.

A proxy is a `wrapt.ObjectProxy` whose class was made for the type of its object. Everything that Python or a library
asks of it is an operation: decided, performed by the host, recorded. Nothing is isolated: whoever wants the real object
out of the process' memory gets it. That is why sessions and records call it *cooperative* (`docs/proxies.md`).
"""

from proxyplane.proxies.inprocess import InProcess

__all__ = ["InProcess"]
