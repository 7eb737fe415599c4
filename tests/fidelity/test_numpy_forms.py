"""numpy as ordinary code uses it: scalars and stubs, fills, files, views, callbacks; and what stays out of reach."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.hosts import numpy_forms

from .natively import plane_over, same

SAME = {
    "operators in both orders": """
import numpy as np
a = np.arange(1.0, 7.0)
for one, other in [(np.float64(2), a), (a, np.float64(2)), (2, a), (a.sum(), a), (a, a.sum()), (True, a), (a, 1j)]:
    print(one + other, one - other, one * other, one ** other)
print(a.sum() + 1, 1 + a.sum(), np.int64(3) // 2, 7 % np.int64(4), divmod(np.float64(7), 2), -np.int8(3), abs(a.min()))
print(np.float64(2) < a, a < np.float64(2), 2 == a.max(), a.max() == 5, np.int64(1) in [1, 2], [1, 2][np.int64(1)])
""",
    "arrays of stubs": """
import numpy as np
a = np.arange(4)
print(np.array([a.sum(), a.max(), 1]), np.array([a, a]), np.stack([a, a]), np.array([[a[0], 9], [1, a[2]]]))
print(np.concatenate([a, [a.sum()]]), np.column_stack([a, a + 1]), sum([a, a]), max(a), sorted([a[2], a[1]]))
""",
    "out and in-place operators": """
import numpy as np
a, out = np.arange(3.0), np.zeros(3)
print(np.add(a, 1, out=out) is out, out, np.multiply(a, 2, a) is a, a)
b = a; a += 1; a *= 2; print(b is a, b); np.add.at(a, [0, 0], 1); print(a, np.add.reduce(a), np.subtract.outer(a, a))
print(np.clip(a, 0, 2, out=a), np.cumsum(a, out=out), out)
""",
    "callbacks": """
import numpy as np
print(np.vectorize(lambda x, y: x + y)([1, 2], 3), np.frompyfunc(lambda x: x * 2, 1, 1)(np.arange(3)))
print(np.apply_along_axis(lambda row: row.sum(), 1, np.ones((2, 3))), np.fromfunction(lambda i, j: i + j, (2, 2)))
print(np.piecewise(np.arange(4.0), [np.arange(4) < 2], [lambda x: -x, lambda x: x]), list(np.ndindex(2, 2)))
print([index for index, value in np.ndenumerate(np.eye(2)) if value])
""",
    "fills": """
import numpy as np
rng = np.random.default_rng(0)
rows, words = [1, 2, 3, 4, 5], ["a", "b", "c", 10**30, None, 2.5]
rng.shuffle(rows); rng.shuffle(words); print(rows, words)
np.random.seed(3); np.random.shuffle(rows); print(rows, rng.permutation(4), rng.choice([1, 2, 3], 2))
array = np.arange(6); rng.shuffle(array); print(array, np.random.RandomState(1).permutation([1, 2, 3]))
""",
    "files": """
import io, numpy as np
from tempfile import TemporaryFile
np.save("x", np.arange(3)); print(np.load("x.npy")); np.savez("z", a=np.arange(2), b=np.eye(2))
with np.load("z.npz") as z: print(z.files, z["a"], "b" in z, list(z), len(z))
np.savez_compressed("c.npz", np.arange(3)); print(np.load("c.npz")["arr_0"])
np.savetxt("t.csv", np.eye(2), delimiter=",")
print(np.loadtxt("t.csv", delimiter=","), np.genfromtxt("t.csv"[:5], delimiter=","))
buffer = io.BytesIO(); np.save(buffer, np.arange(4)); buffer.seek(0); print(np.load(buffer))
text = io.StringIO(); np.savetxt(text, np.eye(2)); print(text.getvalue())
with open("q.npy", "wb") as file: np.save(file, np.arange(2)); np.save(file, np.arange(3))
with open("q.npy", "rb") as file: print(np.load(file), np.load(file))
with TemporaryFile() as file: file.write(b"??"); np.save(file, np.eye(2)); file.seek(2); print(np.load(file))
np.arange(3, dtype="i4").tofile("raw.bin"); print(np.fromfile("raw.bin", dtype="i4"))
""",
    "views and records": """
import numpy as np
a = np.arange(2.0); print(a.view("i8"), a.view(np.uint8).shape, np.float64(1.5).view("i8"), a.view(np.matrix))
r = np.array([(1, 2.5, "x"), (2, 3.5, "y")], dtype=[("a", "i4"), ("b", "f8"), ("c", "U5")])
print(r.view(np.recarray).a, r["b"].mean(), r[["a", "b"]], r[0]["c"], np.rec.array([(1, 2.0)], names="p,q").q)
print(np.rec.fromstring(b"\\x01\\x00\\x02\\x00", dtype="i2"), np.array(["2020"], "M8[D]").view("i8"))
print(np.dtype("f4").base, np.ma.masked_all((2,)))
print(np.ma.array([1, 2, 3], mask=[0, 1, 0]), np.ma.masked, repr(np.ma.masked), f"{np.ma.masked}")
A = B = np.matrix("1 2; 3 4"); print(np.bmat("A,B;B,A"), np.bmat([[A, B]]))
print(np.char.chararray((2,)).shape, np.ma.empty((2,)).shape, np.polynomial.Polynomial([1, 2]).coef, np.ma.mr_[1, 2])
""",
}


@pytest.mark.parametrize("code", SAME.values(), ids=list(SAME))
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_numpy_prints_what_it_prints_natively(code: str, tmp_path: Path) -> None:
    """Scalars and stubs in both orders, fills, callbacks, files and views are as in the library."""
    same(code, tmp_path)


REFUSED = {
    "np.load('x.npy', allow_pickle=True)": "Denied",
    "np.load('x.npy', mmap_mode='r+')": "Denied",
    "np.save('o.npy', np.array([{}], dtype=object))": "ValueError",
    "np.save('o.npy', np.array([{}], dtype=object), allow_pickle=True)": "TypeError",
    "np.savez('o.npz', a=np.array([{}], dtype=object), allow_pickle=True)": "TypeError",
    "np.save('../out.npy', np.eye(2))": "Denied",
    "np.memmap('x.npy')": "Denied",
    "np.zeros(2).view('O')": "Denied",
    "np.zeros(2, 'u1').view('?')": "Denied",
    "np.zeros(2, np.dtype([('a', 'i1'), ('b', 'f8')], align=True)).view('u1')": "Denied",
    "np.rec.fromstring(b'12345678', dtype='O')": "TypeError",
    "np.rec.array(None, shape=(1000,), dtype='f8')": "TypeError",
    "np.rec.array(b'1' * 80, dtype='f8')": "TypeError",
    "np.rec.array([1.0], strides=(800,), shape=(9,))": "TypeError",
    "np.bmat('A', gdict={'A': 1})": "Denied",
    "np.bmat('nothing_of_that_name')": "NameError",
    "np.recarray((1000,), dtype=[('a', 'f8')])": "Denied",
}


@pytest.mark.parametrize(("code", "error"), REFUSED.items())
def test_pickles_maps_and_foreign_memory_stay_out_of_reach(code: str, error: str, tmp_path: Path) -> None:
    """Nothing is unpickled without `exec`, mapped, read beyond its values or looked up in the host's frames."""
    np.save(tmp_path / "x.npy", np.arange(3))
    with plane_over(tmp_path) as plane, plane.session("agent") as session:
        ran = session.run(f"import numpy as np\n{code}")
        assert ran.error is not None
        assert ran.error.type == error, ran.error.message


def test_a_pickle_in_an_npy_file_is_refused_without_exec_and_read_with_it(tmp_path: Path) -> None:
    """`allow_pickle=True` has the effect `exec`; a rule can grant it."""
    np.save(tmp_path / "o.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    code = "import numpy as np\nprint(np.load('o.npy', allow_pickle=True)[0]['a'])"
    with plane_over(tmp_path) as plane, plane.session("agent") as session:
        ran = session.run(code)
        assert ran.error is not None
        assert ran.error.effect == "exec"
    granted = (
        f'schema = 1\ndefault = "deny"\n[modules]\nhost = ["numpy"]\n[fs]\nroot = "{tmp_path}"\nread = ["**"]\n'
        '[[rules]]\nid = "r"\nagent = "*"\nobject = "*"\ndecide = "allow"\n'
        'effect = ["read", "compute", "reveal", "fs.read", "exec"]\n'
    )
    with ControlPlane(policy=Policy.parse(granted)) as plane, plane.session("agent") as session:
        assert session.run(code).stdout == "1\n"


def test_padding_never_shows(tmp_path: Path) -> None:
    """The bytes between the fields of a record are zeroes wherever they would leave, in copies and in files."""
    kind = np.dtype([("a", "i1"), ("n", [("x", "i1"), ("y", "f8")], (2,))], align=True)
    raw = np.frombuffer(b"\xee" * kind.itemsize * 3, dtype="u1").view(kind).copy()
    numpy_forms.tofile(raw, tmp_path / "raw")
    numpy_forms.save(tmp_path / "raw.npy", raw)
    filed = (tmp_path / "raw").read_bytes(), np.load(tmp_path / "raw.npy").tobytes()
    for shown in (numpy_forms.tobytes(raw), numpy_forms.tobytes(np.ma.array(raw)), *filed):
        assert len(shown) == raw.nbytes
        back = np.frombuffer(shown, dtype=kind)
        assert (back["n"]["x"] == raw["n"]["x"]).all()
        assert shown.count(b"\xee") == 3 * (1 + 2 * 9)
    long = np.frombuffer(b"\xee" * 32, dtype="g")
    numpy_forms.tofile(long, tmp_path / "long")
    assert (tmp_path / "long").read_bytes() == numpy_forms.tobytes(long)
    assert not numpy_forms.gapless(kind)
    assert not numpy_forms.gapless(np.dtype("g"))
    assert numpy_forms.gapless(np.dtype([("a", "i4"), ("b", "f4", (2,))]))


def test_masked_arrays_made_of_nothing_are_zeroes() -> None:
    """`ma.empty` and `masked_all` show no freed memory beneath their masks."""
    secret = np.full(100_000, 7.25)
    del secret
    like = np.ones(100_000)
    for made in (
        *(numpy_forms.masked_all((100_000,)), numpy_forms.masked_empty((100_000,))),
        *(numpy_forms.masked_all_like(like), numpy_forms.masked_empty_like(like)),
    ):
        assert not np.asarray(made.data).any()
