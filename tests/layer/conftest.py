"""How the tests of layers run."""

from hypothesis import settings

# What writes files takes as long as the disk likes: wall-clock deadlines would make tests flaky.
settings.register_profile("layer", deadline=None)
settings.load_profile("layer")
