"""A reading as a FHIR R4 bundle: bundle, observations, elements."""
