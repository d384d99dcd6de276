"""How fast an endpoint may be asked, as state machines that are told the time. Nothing here waits or does I/O."""
