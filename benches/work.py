"""What every engine does, and the names of what comes out: the one description of the benchmark's work.

A hash of `id` splits the rows 80/10/10. Numbers are filled with the median of the training rows and standardised; categories are filled with their most
frequent value (of several the first in order), and become columns of 0 and 1, or their position among the sorted values; what is not among them is −1.
"""

NUMBERS = [f"f{number}" for number in range(10)] + [f"i{number}" for number in range(3)]
ONE_HOT = ["c5", "c50"]
ORDINAL = ["c1k", "c100k"]
KEPT = ["id", "ts", "flag", "label"]
PARTS = {"train": 0.8, "val": 0.1, "test": 0.1}
