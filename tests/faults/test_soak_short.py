"""The short form of the soak: 20 studies, each role killed, refusals, a cut network."""
