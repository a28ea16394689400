"""How an image came to be, as a minimal statement beside it: ``--provenance``.

SLSA provenance v0.2. It names the base images by digest, and neither build arguments nor times: equal builds are
equal bytes.
"""

from typing import Final

from lstore.engine.build.attestation import Claim, spell
from lstore.engine.build.image import BuiltImage
from lstore.engine.build.request import BuildRequest

PREDICATE: Final = "https://slsa.dev/provenance/v0.2"
_BUILD_TYPE: Final = "https://mobyproject.org/buildkit@v1"


def provenance(image: BuiltImage, request: BuildRequest) -> Claim:
    """The provenance of `image`, which `request` asked for."""
    return Claim(
        PREDICATE,
        {
            "builder": {"id": ""},
            "buildType": _BUILD_TYPE,
            "invocation": {
                "configSource": {"entryPoint": request.dockerfile_name},
                "parameters": {"frontend": "dockerfile.v0"},
                "environment": {"platform": str(image.config.platform)},
            },
            "materials": [
                {"uri": f"pkg:docker/{name}", "digest": spell(digest)}
                for name, digest in sorted(image.materials.items())
            ],
            "metadata": {
                "completeness": {"parameters": False, "environment": True, "materials": False},
                "reproducible": False,
            },
        },
    )
