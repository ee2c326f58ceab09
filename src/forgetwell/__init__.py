"""forgetwell: LLM unlearning that survives malicious forget requests.

Public names are resolved on first use, so importing the package loads no torch; `__init__.pyi` lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
