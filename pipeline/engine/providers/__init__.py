"""Who answers: an HTTP endpoint or the built-in describer, behind one face. The only place that tells them apart."""
