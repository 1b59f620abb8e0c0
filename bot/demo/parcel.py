"""The demo's repository: a small library, a pull request with planted trouble, and its fix."""

from __future__ import annotations

from bot.demo.reviewer import Planted

REPOSITORY = "octo/parcel"
BRANCH = "batch-prices"
TITLE = "Price whole batches of parcels"
DESCRIPTION = "Adds `total()` and a label printer. Heavy parcels now cost a little more."

# Put together here, so that this file does not hold what looks like a key.
_KEY = "AKIA" + "Q3EGX7RNZ5W2LTVM"

BASE = {
    "README.md": "# Parcel\n\nWorks out what a parcel costs to send.\n",
    "pyproject.toml": '[project]\nname = "parcel"\nversion = "1.0"\n\n[tool.pytest.ini_options]\npythonpath = ["."]\n',
    "parcel/__init__.py": '"""What parcels cost to send."""\n',
    "parcel/rates.py": '''"""Prices by weight."""

RATES = {1: 4.0, 5: 7.5, 20: 14.0}


def price(kilos: float) -> float:
    """The price in euros of one parcel."""
    for limit, euros in sorted(RATES.items()):
        if kilos <= limit:
            return euros
    raise ValueError(f"{kilos} kg is too heavy")
''',
    "tests/test_rates.py": """from parcel.rates import price


def test_small_parcel():
    assert price(0.5) == 4.0


def test_heavy_parcel():
    assert price(12) == 14.0
""",
}

TROUBLE = {
    "parcel/rates.py": BASE["parcel/rates.py"].replace("20: 14.0", "20: 15.0"),
    "parcel/batch.py": f'''"""Prices of whole batches."""

import json
import subprocess

from parcel.rates import price

TRACKING_KEY = "{_KEY}"


def total(weights: list[float]) -> float:
    """The price in euros of all parcels together."""
    euros = 0.0
    for index in range(1, len(weights)):
        euros += price(weights[index])
    return euros


def print_label(name: str) -> None:
    """Send a label to the printer."""
    subprocess.run("lp -t " + name, shell=True, check=True)
''',
}

FIX = {
    "parcel/batch.py": '''"""Prices of whole batches."""

import os
import subprocess  # nosec B404

from parcel.rates import price

TRACKING_KEY = os.environ.get("TRACKING_KEY", "")


def total(weights: list[float]) -> float:
    """The price in euros of all parcels together."""
    return sum(price(weight) for weight in weights)


def print_label(name: str) -> None:
    """Send a label to the printer."""
    subprocess.run(["/usr/bin/lp", "-t", name], check=True)  # nosec B603
''',
    "tests/test_rates.py": BASE["tests/test_rates.py"].replace("14.0", "15.0"),
}

# What only a reviewer sees: no tool complains about a loop that leaves the first parcel out.
UNSEEN_BUG = Planted(
    pattern=r"range\(1, len\(weights\)\)",
    title="The first parcel of every batch is free",
    explanation="The loop starts at index 1, so `weights[0]` is never priced.",
    scenario="`total([12.0])` returns 0.0 instead of 15.0.",
    replacement=r"range(len(weights))",
)
REVIEW_SUMMARY = "Adds batch prices and a label printer, and raises the price of heavy parcels."
