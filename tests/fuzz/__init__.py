"""Seeded mutation fuzzing of everything that takes bytes from elsewhere; `python -m tests.fuzz`.

targets/    what is fuzzed: seeds, how an input is mutated, how it is run, what it may raise
mutate/     mutators: bytes, DICOM data sets, JSON and text, zip files, PDUs
oracles     what no input may cause: the watch that runs one input
reach       which branches an input reaches: coverage guides what is kept
engine      the loop, in a child process that may crash, hang or be killed
minimise    the smallest input that still causes the same finding
corpus/     inputs that reached something new, and reproducers of findings
"""
