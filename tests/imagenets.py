"""Archives like ImageNet's, and how they are written: docs/imagenet.py."""

import importlib.util

from pages import ROOT

_SPEC = importlib.util.spec_from_file_location("imagenet_archives", ROOT / "docs/imagenet.py")
_written = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_written)

meta, pack, tar, main = _written.meta, _written.pack, _written.tar, _written.main
