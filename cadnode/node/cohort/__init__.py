"""A cohort for training from the own archive: exams whose outcome is known, without identities."""
