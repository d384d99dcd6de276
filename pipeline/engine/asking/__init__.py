"""Between the channels and the provider: what need not be asked, and what is asked once more."""
