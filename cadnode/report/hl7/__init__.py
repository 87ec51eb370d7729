"""A reading as an HL7 version 2 message: observations for a RIS."""
