"""Money as decimals outside and as integer minor units inside, and the two roundings between them."""

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

CODE: Final = r"^[A-Z]{3}$"  # ISO 4217
MINOR_DIGITS: Final = (
    dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    )
    | dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3)
    | dict.fromkeys(["CLF", "UYW"], 4)
)
"""Currencies whose minor unit is not a hundredth (ISO 4217, table A.1)."""

AMOUNT: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?")
"""JSON's own grammar of numbers; an amount in a string follows it too."""
LIMIT_MAJOR: Final = Decimal(10) ** 12
"""Every amount is below this, in major units: nine thousand of the largest still fit an int64 of minor units."""
EXACT: Final = Context(prec=400, rounding=ROUND_HALF_EVEN)
"""Enough digits that a product of any accepted amount and rate is exact before its one rounding."""


def minor_digits(currency: str) -> int:
    """The number of decimals of the currency's minor unit."""
    return MINOR_DIGITS.get(currency, 2)


def to_minor(amount: Decimal, digits: int) -> int:
    """`amount` in minor units of `digits` decimals, rounded half-even."""
    return int(EXACT.scaleb(amount, digits).to_integral_value(rounding=ROUND_HALF_EVEN, context=EXACT))


def convert(amount_minor: int, digits: int, rate: Decimal, into_digits: int) -> int:
    """An amount in another currency's minor units.

    Args:
        amount_minor: the amount, already rounded to its own minor unit.
        digits: decimals of its own minor unit.
        rate: units of the other currency for one unit of this one.
        into_digits: decimals of the other currency's minor unit.

    Returns:
        The product, rounded half-even once.
    """
    return to_minor(EXACT.multiply(EXACT.scaleb(Decimal(amount_minor), -digits), rate), into_digits)


def to_text(amount_minor: int, digits: int) -> str:
    """The amount in major units with exactly `digits` decimals: 182050 with 2 digits is "1820.50"."""
    if digits == 0:
        return str(amount_minor)
    sign = "-" if amount_minor < 0 else ""
    major, minor = divmod(abs(amount_minor), 10**digits)
    return f"{sign}{major}.{minor:0{digits}d}"
