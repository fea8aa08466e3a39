"""Every kind of observation and of action, as options of a run."""

from tests.support import action_envs, entry_envs

CASES = {**entry_envs.CASES, **action_envs.CASES}
FEW = (*entry_envs.FEW, *action_envs.FEW)  # of the fast suite
