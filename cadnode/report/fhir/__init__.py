"""A reading as a FHIR R5 bundle: bundle, observations, elements."""
