"""Several endpoints that share one job: who answers next, who rests, and what may still be spent."""
