"""How many rows there are, and which number each has: as a value, it couples them."""

import numpy as np

from tests.engine.graph.examples.example import apart, ints, mixed, weights

X, NUMBERS, IDS = "float[B, 3] x", "int64[B, 1] i", {"i": (0, 2)}
COUNT = "n = Shape<end = 1>(x)  s = Squeeze(n)  "
EACH = COUNT + "r = Range(zero, s, one)  "
COLUMN = EACH + "c = Unsqueeze(r, last)  "
NUMBER = COUNT + "f = Cast<to = 1>(s)  "
GIVEN = {"zero": np.int64(0), "one": np.int64(1), "last": ints(-1)}
PARITY = {"two": np.int64(2), "front": ints(0), "axis": ints(1), "l": ints(2)}
ROUND = "body = l (int64 j, bool h, int64[B] a) => (k, b) { k = Identity(h) b = Identity(a) }"

EXAMPLES = [
    # One's own row, by its number
    apart(EACH + "y = Gather(x, r)", X, **GIVEN),
    apart(COLUMN + "y = GatherND(x, c)", X, **GIVEN),
    apart(
        COLUMN + "p = Concat<axis = -1>(c, i)  y = GatherND(x, p)",
        f"{X}, {NUMBERS}",
        **GIVEN,
        among=IDS,
    ),
    apart(
        COLUMN + "q = Concat<axis = 0>(n, two)  e = Expand(c, q)  u = Unsqueeze(e, last)  "
        "p = Concat<axis = -1>(u, i)  y = GatherND(x, p)",
        f"{X}, int64[B, 2, 1] i",
        **GIVEN,
        two=ints(2),
        among=IDS,
    ),
    apart(
        COLUMN + "p = Concat<axis = -1>(c, i)  y = ScatterND(x, p, u)",
        f"{X}, {NUMBERS}, float[B] u",
        **GIVEN,
        among=IDS,
    ),
    apart(COLUMN + "d = Cast<to = 6>(c)  e = Cast<to = 7>(d)  y = GatherND(x, e)", X, **GIVEN),
    apart(
        COLUMN + "m = Max(c, w)  q = Shape(m)  e = Expand(c, q)  u = Unsqueeze(e, last)  "
        "v = Expand(w, q)  k = Unsqueeze(v, last)  p = Concat<axis = -1>(u, k)  y = GatherND(x, p)",
        X,
        **GIVEN,
        w=ints(0, 2),
    ),
    # Other numbers, or other uses of them
    mixed(EACH + "y = Identity(r)", X, **GIVEN),
    mixed(COLUMN + "f = Cast<to = 1>(c)  y = Add(x, f)", X, **GIVEN),
    mixed(COLUMN + "d = Cast<to = 9>(c)  e = Cast<to = 7>(d)  y = GatherND(x, e)", X, **GIVEN),
    mixed(COUNT + "r = Range(one, s, one)  y = Gather(x, r)", X, **GIVEN),
    mixed(
        COUNT + "m = Sub(s, one)  r = Range(m, o, o)  y = Gather(x, r)", X, **GIVEN, o=np.int64(-1)
    ),
    mixed(
        COLUMN + "p = Concat<axis = -1>(c, c)  y = GatherND(z, p)", f"{X}, float[B, 64] z", **GIVEN
    ),
    mixed(
        COLUMN + "p = Concat<axis = -1>(i, c)  y = GatherND(z, p)",
        f"{NUMBERS}, {X}, float[B, 64] z",
        **GIVEN,
        among={"i": (0, 0)},
    ),
    mixed(
        COLUMN + "p = Concat<axis = -1>(c, i)  y = ScatterND(x, p, u)",
        f"{X}, {NUMBERS}",
        **GIVEN,
        among=IDS,
        u=weights(1),
    ),
    mixed(
        EACH
        + f"t = Loop<{ROUND}>(m, g, r)  u = Unsqueeze(t, last)  f = Cast<to = 1>(u)  y = Add(x, f)",
        X,
        **GIVEN,
        m=np.int64(2),
        g=np.array(True),
    ),
    apart(
        EACH + f"t = Loop<{ROUND}>(m, g, r)  y = Gather(x, t)",
        X,
        **GIVEN,
        m=np.int64(2),
        g=np.array(True),
    ),
    # How many there are
    mixed(NUMBER + "y = Div(x, f)", X),
    mixed(NUMBER + "y = Mul(x, f)", X),
    mixed(
        NUMBER + "u = Unsqueeze(f, q)  e = Expand(u, p)  y = Add(x, e)",
        X,
        q=ints(0, 1),
        p=ints(1, 3),
    ),
    mixed(
        NUMBER + "u = Unsqueeze(f, q)  p = Concat<axis = 0>(n, v)  e = Expand(u, p)  y = Add(x, e)",
        X,
        q=ints(0, 1),
        v=ints(3),
    ),
    mixed(
        NUMBER + "u = Unsqueeze(f, q)  p = Concat<axis = 0>(n, v)  e = Tile(u, p)  y = Add(x, e)",
        X,
        q=ints(0, 1),
        v=ints(3),
    ),
    mixed(COUNT + "m = Mod(s, two)  y = Gather<axis = 1>(x, m)", X, **PARITY),
    mixed(COUNT + "m = Mod(n, two)  e = Add(m, axis)  y = Slice(x, m, e, axis)", X, **PARITY),
    mixed(
        COUNT + "m = Mod(n, two)  w = Sub(axis, m)  p = Concat<axis = 0>(front, m, front, w)  "
        "y = Pad(x, p)",
        X,
        **PARITY,
    ),
    mixed(COUNT + "m = Mod(n, two)  y = ReduceSum(x, m)", X, **PARITY),
    mixed(COUNT + "m = Mod(n, two)  e = Add(m, axis)  y, v = TopK(x, e)", X, **PARITY),
    mixed(COUNT + "m = Mod(s, two)  y = CumSum(x, m)", X, **PARITY),
    mixed(
        NUMBER + "e = Expand(f, n)  u = Unsqueeze(e, axis)  y = Concat<axis = 1>(x, u)", X, **PARITY
    ),
    mixed(NUMBER + "y = Clip(x, f)", X),
    mixed(NUMBER + "y = QuantizeLinear(x, f)", X),
    mixed(
        COUNT + "m = Mod(n, two)  v = Concat<axis = 0>(m, axis)  y = OneHot(i, l, v)",
        f"{X}, {NUMBERS}",
        **PARITY,
        among={"i": (0, 1)},
    ),
    apart(
        COUNT + "p = Concat<axis = 0>(n, v)  w = ConstantOfShape<value = float[1] {2.0}>(p)  "
        "y = Mul(x, w)",
        X,
        v=ints(3),
    ),
]
