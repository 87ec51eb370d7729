"""The look that all HTML pages share: one base template, one style sheet, one environment."""
