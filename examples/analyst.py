"""What an agent might write: plain pandas over `visits`, a DataFrame that it was granted and does not hold."""

import numpy as np
import pandas as pd

# Who pays which share of the bill, and how healthy do they feel?
visits["coinsurance"] = np.exp(visits["lncoins"]).round().astype(int) - 1
visits["health"] = "excellent"
for column, name in {"hlthg": "good", "hlthf": "fair", "hlthp": "poor"}.items():
    visits.loc[visits[column] == 1, "health"] = name
usual = visits[visits["mdvis"] <= 60]
print(f"{len(visits):,} person-years, {len(usual):,} of them with at most 60 visits\n")

# Does a person who pays more see a doctor less often?
by_share = usual.groupby("coinsurance").agg(people=("mdvis", "size"), mean=("mdvis", "mean"), most=("mdvis", "max"))
print(by_share.round(2), "\n")
by_health = usual.pivot_table(index="health", columns="coinsurance", values="mdvis", aggfunc="mean")
print(by_health.round(2).sort_values(0, ascending=False), "\n")

# How many see none at all? The order of the answers comes from a table of the agent's own.
order = pd.DataFrame({"health": ["excellent", "good", "fair", "poor"], "order": [1, 2, 3, 4]})
none = usual.assign(none=usual["mdvis"] == 0).groupby("health", as_index=False)["none"].mean()
print(none.merge(order, on="health").sort_values("order").set_index("health")["none"].round(3), "\n")

print(usual["mdvis"].describe().round(2), "\n")
free = by_share.loc[0, "mean"]
print(by_share["mean"].map(lambda mean: f"{mean / free:.0%} of the visits under free care"), "\n")

# --- and three things that must fail ---


def attempt(what, action):
    """Try something that the policy does not allow, and say what came of it."""
    try:
        action()
    except Exception as error:
        print(f"{what}\n    {type(error).__name__}: {error}")
    else:
        print(f"{what}\n    went through, which it must not!")


attempt("a hidden column:", lambda: visits["disea"])
attempt("a file:", lambda: visits.to_csv("visits.csv"))
attempt("all rows at once:", lambda: print(visits.to_string()))
