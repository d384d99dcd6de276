"""The offline describer `builtin:describe`: says plainly what small bundled networks recognise. No network, no key.

It is not a vision-language model and does not pretend to be one: it names at most three kinds of things, only as
coarsely as it gets them right ("a dog", never the breed), and the main colours. Needs the extra `builtin`.
"""

from pipeline.builtin.describer import MODEL, Describer, load_describer

__all__ = ["MODEL", "Describer", "load_describer"]
