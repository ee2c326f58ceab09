"""Property tests say nothing of how fast a machine is: no deadlines, also on a busy one."""

from hypothesis import settings

settings.register_profile("forgetwell", deadline=None)
settings.load_profile("forgetwell")
