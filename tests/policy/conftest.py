"""How hard Hypothesis tries here."""

from hypothesis import settings

# A busy machine makes slow examples, not wrong ones.
settings.register_profile("policy", deadline=None, stateful_step_count=40)
settings.load_profile("policy")
