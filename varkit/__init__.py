"""varkit: find the long video, and the moment in it, that a sentence or a sound describes.

Importing this package is cheap: it pulls in neither torch nor any plugin. Everything a plugin
needs to *register* itself is here; everything it needs to *compute* lies in the modules named in
``docs/architecture.md``.
"""

from varkit.plugins.hookspecs import hookimpl

__version__ = "0.1.0"
__all__ = ["__version__", "hookimpl"]
