"""Statistics by exact rational arithmetic, rounded once: what a fitted parameter must be, to the last bit.

Values are Python's own: integers of any size and floats that are finite.
"""

import math
import struct
from fractions import Fraction

# Every double is a whole number of these.
UNIT = 1074


def units(value):
    """A number as a multiple of the least positive double."""
    numerator, denominator = value.as_integer_ratio()
    return (numerator << UNIT) // denominator


def rounded(value):
    """The nearest double, ties to even; infinite past the largest."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def mean(values):
    """The exact mean."""
    return Fraction(sum(map(units, values)), len(values) << UNIT)


def variance(values):
    """The exact variance of the whole, not of a sample of it (`ddof = 0`)."""
    scaled = [units(value) for value in values]
    total, squares, count = sum(scaled), sum(value * value for value in scaled), len(scaled)
    return Fraction(count * squares - total * total, count * count << 2 * UNIT)


def square_root(value):
    """The double nearest to a square root."""
    if value == 0:
        return 0.0
    numerator, denominator = value.as_integer_ratio()
    # So many bits that the root has 100 of them or more.
    shift = max(0, 100 + (denominator.bit_length() - numerator.bit_length()) // 2)
    square, rest = divmod(numerator << 2 * shift, denominator)
    root = math.isqrt(square)
    # A last bit that stands for all that was cut off makes a tie no tie.
    cut = rest != 0 or root * root != square
    return rounded(Fraction(2 * root + cut, 2 << shift))


def quantile(values, percent):
    """A percentile, linear between the two nearest of the values as doubles."""
    ordered = sorted(map(float, values))
    position = Fraction(percent) * (len(ordered) - 1) / 100
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    low, high, share = Fraction(ordered[low]), Fraction(ordered[high]), position - low
    return rounded(low + (high - low) * share)


def bits(value):
    """What tells a double from every other, zeros by their sign."""
    return None if value is None else struct.pack(">d", value).hex()
