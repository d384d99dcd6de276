"""Concurrency. The only room with TaskGroup, queues, threads and signals; no rule about images, models or wires."""
