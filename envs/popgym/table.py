"""The rewritten environments of POPGym: one row an id.

`NAME` stands for the id `popgym-fast/NAME-v0` here and for `popgym-NAME-v0` in the package popgym 1.0.7.
"""

from typing import Any

POPGYM: tuple[tuple[str, str, dict[str, Any]], ...] = (
    # name, module and family, arguments; `FamilyEnv` is the single form and `FamilyVectorEnv` the vector form
    ("RepeatFirstEasy", "repeat_first:RepeatFirst", {"num_decks": 1}),
    ("RepeatFirstMedium", "repeat_first:RepeatFirst", {"num_decks": 8}),
    ("RepeatFirstHard", "repeat_first:RepeatFirst", {"num_decks": 16}),
    ("RepeatPreviousEasy", "repeat_previous:RepeatPrevious", {"num_decks": 1, "k": 4}),
    ("RepeatPreviousMedium", "repeat_previous:RepeatPrevious", {"num_decks": 2, "k": 32}),
    ("RepeatPreviousHard", "repeat_previous:RepeatPrevious", {"num_decks": 3, "k": 64}),
    ("AutoencodeEasy", "autoencode:Autoencode", {"num_decks": 1}),
    ("AutoencodeMedium", "autoencode:Autoencode", {"num_decks": 2}),
    ("AutoencodeHard", "autoencode:Autoencode", {"num_decks": 3}),
    ("CountRecallEasy", "count_recall:CountRecall", {"num_decks": 1, "deck_type": "colors"}),
    ("CountRecallMedium", "count_recall:CountRecall", {"num_decks": 2, "deck_type": "suits"}),
    ("CountRecallHard", "count_recall:CountRecall", {"num_decks": 4, "deck_type": "ranks"}),
    ("HigherLowerEasy", "higher_lower:HigherLower", {"num_decks": 1}),
    ("HigherLowerMedium", "higher_lower:HigherLower", {"num_decks": 2}),
    ("HigherLowerHard", "higher_lower:HigherLower", {"num_decks": 3}),
    ("ConcentrationEasy", "concentration:Concentration", {"num_decks": 1, "deck_type": "colors"}),
    ("ConcentrationMedium", "concentration:Concentration", {"num_decks": 2, "deck_type": "colors"}),
    ("ConcentrationHard", "concentration:Concentration", {"num_decks": 1, "deck_type": "ranks"}),
    ("BattleshipEasy", "battleship:Battleship", {"board_size": 8}),
    ("BattleshipMedium", "battleship:Battleship", {"board_size": 10}),
    ("BattleshipHard", "battleship:Battleship", {"board_size": 12}),
    ("MineSweeperEasy", "mine_sweeper:MineSweeper", {"difficulty": "easy"}),
    ("MineSweeperMedium", "mine_sweeper:MineSweeper", {"difficulty": "medium"}),
    ("MineSweeperHard", "mine_sweeper:MineSweeper", {"difficulty": "hard"}),
    ("MultiarmedBanditEasy", "multiarmed_bandit:MultiarmedBandit", {"num_bandits": 10, "episode_length": 200}),
    ("MultiarmedBanditMedium", "multiarmed_bandit:MultiarmedBandit", {"num_bandits": 20, "episode_length": 400}),
    ("MultiarmedBanditHard", "multiarmed_bandit:MultiarmedBandit", {"num_bandits": 30, "episode_length": 600}),
    ("PositionOnlyCartPoleEasy", "cartpole:PositionOnlyCartPole", {"max_episode_length": 200}),
    ("PositionOnlyCartPoleMedium", "cartpole:PositionOnlyCartPole", {"max_episode_length": 400}),
    ("PositionOnlyCartPoleHard", "cartpole:PositionOnlyCartPole", {"max_episode_length": 600}),
    ("VelocityOnlyCartpoleEasy", "cartpole:VelocityOnlyCartPole", {"max_episode_length": 200}),
    ("VelocityOnlyCartpoleMedium", "cartpole:VelocityOnlyCartPole", {"max_episode_length": 400}),
    ("VelocityOnlyCartpoleHard", "cartpole:VelocityOnlyCartPole", {"max_episode_length": 600}),
    ("NoisyPositionOnlyCartPoleEasy", "cartpole:NoisyPositionOnlyCartPole", {"noise_sigma": 0.1}),
    ("NoisyPositionOnlyCartPoleMedium", "cartpole:NoisyPositionOnlyCartPole", {"noise_sigma": 0.2}),
    ("NoisyPositionOnlyCartPoleHard", "cartpole:NoisyPositionOnlyCartPole", {"noise_sigma": 0.3}),
    ("PositionOnlyPendulumEasy", "pendulum:PositionOnlyPendulum", {"max_episode_length": 200}),
    ("PositionOnlyPendulumMedium", "pendulum:PositionOnlyPendulum", {"max_episode_length": 150}),
    ("PositionOnlyPendulumHard", "pendulum:PositionOnlyPendulum", {"max_episode_length": 100}),
    ("NoisyPositionOnlyPendulumEasy", "pendulum:NoisyPositionOnlyPendulum", {"noise_sigma": 0.1}),
    ("NoisyPositionOnlyPendulumMedium", "pendulum:NoisyPositionOnlyPendulum", {"noise_sigma": 0.2}),
    ("NoisyPositionOnlyPendulumHard", "pendulum:NoisyPositionOnlyPendulum", {"noise_sigma": 0.3}),
)


def fast_id(name: str) -> str:
    """Return the id of a row here."""
    return f"popgym-fast/{name}-v0"


def official_id(name: str) -> str:
    """Return the id of a row in the package popgym, with the module that registers it."""
    return f"popgym:popgym-{name}-v0"
