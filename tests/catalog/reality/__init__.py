"""The catalog against reality: what its members do when they are called natively.

Docstring examples and simple calls run in a process of their own, without a plane. Each use of a catalogued member is
watched: an audit hook sees what is opened, connected, spawned or loaded; receiver and arguments are compared before
and after; results are looked at for shared memory, for content where the catalog says schema, and for texts that hold
more rows than they are counted for. What no run exercised is listed in `docs/catalog-reality.md`.

    python -m tests.catalog.reality                # everything, and the page
    python -m tests.catalog.reality numpy --brief  # one library, a sample
"""
