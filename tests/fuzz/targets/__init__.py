"""What is fuzzed; a target is a class and its line in `tests.fuzz.targets.all_targets`."""
