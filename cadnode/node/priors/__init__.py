"""Prior exams of the same woman: found here and at the sources, fetched, shown beside a study."""
