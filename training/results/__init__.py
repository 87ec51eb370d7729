"""Results of trained models as people and machines read them: tables, pages, comparisons."""
