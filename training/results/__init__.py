"""Results of trained models for people and programs: tables, pages, comparisons."""
