"""What is true of a node while everything around it fails: real processes, files and peers.

    harness/        the node under test, its archive, its senders, the faults, and the ledger
    soak.py         `python -m tests.faults.soak`: a long run under faults chosen by a seed
    crash_states.py every state in which a power cut may leave the disk
    test_*.py       the short form of each, for `make test`

The node is driven from outside, as a hospital does it: settings file, command, DICOM, HTTP, files.
"""
