"""Structured reports and key objects (PS3.3 A.35, PS3.16 TID 1500 ff.), but for the CAD report."""
