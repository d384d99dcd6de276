"""What a run has measured: flat in memory, a few hundred nanoseconds a request."""
